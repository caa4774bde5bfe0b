"""What a query may consist of: kinds of nodes in DuckDB's syntax tree, and functions. All else is refused.

None of it writes, reads a file, an address, a setting or the environment, or waits. New functions of DuckDB are refused
until somebody has looked at them and added them here.
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


NODES = _words(
    """
    SELECT_NODE SET_OPERATION_NODE RECURSIVE_CTE_NODE CTE_NODE
    LIMIT_MODIFIER LIMIT_PERCENT_MODIFIER ORDER_MODIFIER DISTINCT_MODIFIER
    ORDER_DEFAULT ASCENDING DESCENDING INVALID
    BASE_TABLE SUBQUERY JOIN TABLE_FUNCTION EXPRESSION_LIST EMPTY PIVOT SHOW_REF
    COLUMN_REF STAR VALUE_CONSTANT VALUE_PARAMETER FUNCTION POSITIONAL_REFERENCE LAMBDA LAMBDA_REF
    CASE_EXPR OPERATOR_CAST OPERATOR_NOT OPERATOR_IS_NULL OPERATOR_IS_NOT_NULL OPERATOR_COALESCE OPERATOR_NULLIF
    OPERATOR_TRY OPERATOR_UNPACK COLLATE ARRAY_CONSTRUCTOR ARRAY_EXTRACT ARRAY_SLICE STRUCT_EXTRACT GROUPING_FUNCTION
    CONJUNCTION_AND CONJUNCTION_OR
    COMPARE_EQUAL COMPARE_NOTEQUAL COMPARE_LESSTHAN COMPARE_GREATERTHAN COMPARE_LESSTHANOREQUALTO
    COMPARE_GREATERTHANOREQUALTO COMPARE_IN COMPARE_NOT_IN COMPARE_DISTINCT_FROM COMPARE_NOT_DISTINCT_FROM
    COMPARE_BETWEEN COMPARE_NOT_BETWEEN
    WINDOW WINDOW_AGGREGATE WINDOW_FUNCTION WINDOW_RANK WINDOW_RANK_DENSE WINDOW_NTILE WINDOW_PERCENT_RANK
    WINDOW_CUME_DIST WINDOW_ROW_NUMBER WINDOW_FIRST_VALUE WINDOW_LAST_VALUE WINDOW_LEAD WINDOW_LAG WINDOW_NTH_VALUE
    WINDOW_FILL TYPE
    GENERIC_TYPE_INFO DECIMAL_TYPE_INFO STRING_TYPE_INFO LIST_TYPE_INFO STRUCT_TYPE_INFO ARRAY_TYPE_INFO
    ENUM_TYPE_INFO UNBOUND_TYPE_INFO
    """
)
"""Kinds of nodes. Statements that write, such as INSERT, are kinds of their own, also inside of a query."""

TABLE_FUNCTIONS = _words("changes generate_series json_each json_tree range repeat repeat_row unnest")
"""Functions that stand for rows."""

SCHEMAS = _words("information_schema main memory pg_catalog system temp")
"""Where DuckDB has functions. Each other name before a function is that of a column, its first argument."""

SUMMARIES = frozenset(("DESCRIBE", "SUMMARY"))
"""What may be shown of a query."""

FUNCTIONS = _words(
    """
    !__postfix !~~ !~~* % & && * ** + - -> ->> / // < <-> << <= <=> <> <@ = != > >= >> @ @> ^ ^@ | || ~ ~~ ~~* ~~~ ~*
    __between xor

    array_extract array_slice cardinality coalesce constant_or_null contains element_at error greatest if ifnull least
    list_element list_extract map_extract nullif typeof pg_typeof alias hash can_cast_implicitly

    abs acos acosh add asin asinh atan atan2 atanh bar base64 bin binom bit_count bit_length bit_position bitstring cbrt
    ceil ceiling cos cosh cot degrees divide even exp factorial fdiv floor fmod gamma gcd get_bit
    greatest_common_divisor isfinite isinf isnan lcm least_common_multiple lgamma ln log log10 log2 mod multiply
    nextafter pi pow power radians random round round_even roundbankers set_bit setseed sign signbit sin sinh sqrt
    subtract tan tanh trunc
    equi_width_bins gen_random_uuid uuid uuidv4 uuidv7 uuid_extract_timestamp uuid_extract_version

    array_to_string array_to_string_comma_default ascii char_length character_length chr concat concat_ws
    damerau_levenshtein decode editdist3 encode ends_with
    format format_bytes formatReadableDecimalSize formatreadabledecimalsize formatReadableSize formatreadablesize
    from_base64 from_binary from_hex hamming hex ilike_escape instr jaccard jaro_similarity jaro_winkler_similarity
    lcase left left_grapheme len length length_grapheme levenshtein like_escape lower lpad ltrim md5 md5_number
    md5_number_lower md5_number_upper mismatches nfc_normalize not_ilike_escape not_like_escape octet_length ord overlay
    parse_dirname parse_dirpath parse_filename parse_formatted_bytes parse_path pg_size_pretty position prefix printf
    regexp_escape regexp_extract regexp_extract_all regexp_full_match regexp_matches regexp_replace
    regexp_split_to_array regexp_split_to_table repeat replace reverse right right_grapheme rpad rtrim sha1 sha256
    split split_part starts_with str_split str_split_regex string_split string_split_regex string_to_array strip_accents
    strlen strpos substr substring substring_grapheme suffix to_base to_base64 to_binary to_hex translate trim ucase
    unbin unhex unicode upper url_decode url_encode

    age ago century current_date current_localtime current_localtimestamp date_add date_diff date_part date_sub
    date_trunc datediff datepart datesub datetrunc day dayname dayofmonth dayofweek dayofyear days_in_month decade epoch
    epoch_ms epoch_ns epoch_us era get_current_time get_current_timestamp hour isodow isoyear julian last_day make_date
    make_time make_timestamp make_timestamp_ms make_timestamp_ns make_timestamptz microsecond millennium millisecond
    minute month monthname nanosecond normalized_interval now quarter second strftime strptime time_bucket timezone
    timezone_hour timezone_minute to_centuries to_days to_decades to_hours to_microseconds to_millennia to_milliseconds
    to_minutes to_months to_quarters to_seconds to_timestamp to_weeks to_years today transaction_timestamp try_strptime
    week weekday weekofyear year yearweek

    aggregate apply array_aggr array_aggregate array_append array_apply array_cat array_concat array_contains
    array_cosine_distance array_cosine_similarity array_cross_product array_distance array_distinct array_dot_product
    array_filter array_grade_up array_has array_has_all array_has_any array_indexof array_inner_product array_intersect
    array_length array_negative_dot_product array_negative_inner_product array_pop_back array_pop_front array_position
    array_prepend array_push_back array_push_front array_reduce array_resize array_reverse array_reverse_sort
    array_select array_sort array_transform array_unique array_value array_where array_zip filter flatten
    generate_series generate_subscripts grade_up list_aggr list_aggregate list_any_value list_append
    list_approx_count_distinct list_apply list_avg list_bit_and list_bit_or list_bit_xor list_bool_and list_bool_or
    list_cat list_concat list_contains list_cosine_distance list_cosine_similarity list_count list_distance
    list_distinct list_dot_product list_entropy list_filter list_first list_grade_up list_has list_has_all list_has_any
    list_histogram list_indexof list_inner_product list_intersect list_kurtosis list_kurtosis_pop list_last list_mad
    list_max list_median list_min list_mode list_negative_dot_product list_negative_inner_product list_pack
    list_position list_prepend list_product list_reduce list_resize list_reverse list_reverse_sort list_select list_sem
    list_skewness list_slice list_sort list_stddev_pop list_stddev_samp list_string_agg list_sum list_transform
    list_unique list_value list_var_pop list_var_samp list_where list_zip range reduce unnest unpivot_list

    enum_code enum_first enum_last enum_range enum_range_boundary map map_concat map_contains map_contains_entry
    map_contains_value map_entries map_extract_value map_from_entries map_keys map_values remap_struct row struct_concat
    struct_contains struct_extract struct_extract_at struct_has struct_indexof struct_insert struct_keys struct_pack
    struct_position struct_update struct_values union_extract union_tag union_value

    array_to_json from_json from_json_strict json json_array json_array_length json_contains json_deep_merge json_exists
    json_extract json_extract_path json_extract_path_text json_extract_string json_group_array json_group_object
    json_group_structure json_insert json_keys json_merge_patch json_normalize json_object json_pretty json_quote
    json_remove json_replace json_set json_strip_nulls json_structure json_transform json_transform_strict json_type
    json_valid json_value row_to_json to_json

    any_value approx_count_distinct approx_quantile approx_top_k arbitrary arg_max arg_max_null arg_max_nulls_last
    arg_min arg_min_null arg_min_nulls_last argmax argmin array_agg avg bit_and bit_or bit_xor bitstring_agg bool_and
    bool_or corr count count_if count_star countif covar_pop covar_samp entropy favg first fsum geomean geometric_mean
    group_concat histogram histogram_exact kahan_sum kurtosis kurtosis_pop last list listagg mad max max_by mean median
    min min_by mode product quantile quantile_cont quantile_disc regr_avgx regr_avgy regr_count regr_intercept regr_r2
    regr_slope regr_sxx regr_sxy regr_syy reservoir_quantile sem skewness stddev stddev_pop stddev_samp string_agg sum
    sum_no_overflow sumkahan var_pop var_samp variance wavg weighted_avg

    cume_dist dense_rank fill first_value lag last_value lead nth_value ntile percent_rank rank rank_dense row_number
    lttb

    variant_array_length variant_contains variant_exists variant_extract variant_extract_string variant_group_array
    variant_group_object variant_keys variant_type variant_typeof
    st_asbinary st_asgeojson st_astext st_aswkb st_aswkt st_crs st_geomfromgeojson st_geomfromwkb st_intersects_extent
    st_setcrs
    create_sort_key current_catalog current_database current_schema json_merge_patch_diff path_join switch version
    """
)
"""Scalar, aggregate and window functions, operators among them."""
