"""What a query on Spark may consist of: classes of Spark's own syntax tree, and functions. All else is refused.

None of it writes, reads a file, a setting or the environment, runs a program or calls Java.
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


NODES = _words(
    """
    Project Filter Aggregate Sort GlobalLimit LocalLimit Offset Distinct Join Union Except Intersect SubqueryAlias
    UnresolvedSubqueryColumnAliases UnresolvedRelation UnresolvedInlineTable OneRowRelation UnresolvedHaving
    UnresolvedWith Generate LateralJoin WithWindowDefinition Pivot Unpivot UnresolvedTableValuedFunction LocalRelation
    Sample

    UnresolvedAttribute UnresolvedStar UnresolvedStarExceptOrReplace UnresolvedAlias UnresolvedFunction
    UnresolvedGenerator
    UnresolvedExtractValue UnresolvedNamedLambdaVariable UnresolvedWindowExpression UnresolvedDeserializer
    UnresolvedOrdinal AttributeReference
    Alias MultiAlias Literal Cast LambdaFunction SortOrder
    And Or Not EqualTo EqualNullSafe LessThan LessThanOrEqual GreaterThan GreaterThanOrEqual In InSubquery
    Add Subtract Multiply Divide Remainder IntegralDivide UnaryMinus UnaryPositive BitwiseAnd BitwiseOr BitwiseXor
    BitwiseNot IsNull IsNotNull IsTrue IsFalse Like ILike RLike CaseWhen
    ScalarSubquery ListQuery Exists LateralSubquery
    WindowExpression WindowSpecDefinition WindowSpecReference SpecifiedWindowFrame UnspecifiedFrame CurrentRow
    UnboundedPreceding UnboundedFollowing RangeFrame RowFrame
    CreateNamedStruct CreateStruct CurrentDate CurrentTimestamp TimestampAdd TimestampDiff StringTrim StringTrimLeft
    StringTrimRight Overlay Substring ExtractIntervalPart Concat AggregateExpression First Last AnyValue
    GroupingAnalytics GroupingSets Cube Rollup GroupByAll PivotSubqueryUnresolved
    """
)
"""Classes of plans and expressions that Spark's parser makes of a query."""

FUNCTIONS = _words(
    """
    coalesce nvl nvl2 ifnull nullif if greatest least isnull isnotnull isnan typeof hash xxhash64 concat struct
    named_struct array map

    abs acos acosh asin asinh atan atan2 atanh bin bround cbrt ceil ceiling cos cosh cot degrees div e exp expm1
    factorial floor getbit hex hypot ln log log10 log1p log2 mod negative pi pmod positive pow power radians rand rint
    round shiftleft shiftright sign signum sin sinh sqrt tan tanh try_add try_divide try_multiply try_subtract
    try_to_number unhex width_bucket bit_count

    ascii base64 bit_length btrim char char_length character_length chr concat_ws contains decode encode endswith
    find_in_set format_number format_string initcap instr lcase left len length levenshtein locate lower lpad ltrim
    md5 octet_length overlay position printf regexp_count regexp_extract regexp_extract_all regexp_instr regexp_like
    regexp_replace regexp_substr repeat replace reverse right rpad rtrim sha sha1 sha2 soundex space split split_part
    startswith string substr substring substring_index to_char to_number translate trim ucase unbase64 upper

    add_months convert_timezone current_date current_timestamp date date_add date_diff date_format date_from_unix_date
    date_part date_sub date_trunc dateadd datediff datepart day dayname dayofmonth dayofweek dayofyear extract
    from_unixtime from_utc_timestamp hour last_day localtimestamp make_date make_dt_interval make_interval
    make_timestamp make_ym_interval minute month monthname months_between next_day now quarter second
    timestamp timestamp_micros timestamp_millis timestamp_seconds to_date to_timestamp to_unix_timestamp
    to_utc_timestamp trunc try_to_timestamp unix_date unix_micros unix_millis unix_seconds unix_timestamp weekday
    weekofyear year

    aggregate array_agg array_append array_compact array_contains array_distinct array_except array_insert
    array_intersect array_join array_max array_min array_position array_prepend array_remove array_repeat array_size
    array_sort array_union arrays_overlap arrays_zip cardinality element_at exists explode explode_outer filter flatten
    forall get inline inline_outer map_concat map_contains_key map_entries map_filter map_from_arrays map_from_entries
    map_keys map_values posexplode posexplode_outer reduce sequence size slice sort_array transform transform_keys
    transform_values try_element_at zip_with

    from_json get_json_object json_array_length json_object_keys to_json

    any any_value approx_count_distinct approx_percentile avg bit_and bit_or bit_xor bool_and bool_or collect_list
    collect_set corr count count_if covar_pop covar_samp every first first_value grouping grouping_id kurtosis last
    last_value listagg max max_by mean median min min_by mode percentile percentile_approx percentile_cont
    percentile_disc product regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy
    skewness some std stddev stddev_pop stddev_samp string_agg sum try_avg try_sum var_pop var_samp variance

    cume_dist dense_rank lag lead nth_value ntile percent_rank rank row_number

    bigint boolean int double decimal float smallint tinyint binary
    """
)
"""Scalar, aggregate and window functions, and those that make rows, of Spark."""

TABLE_FUNCTIONS = _words("range explode explode_outer posexplode posexplode_outer inline inline_outer")
"""Functions that stand for rows."""
