#!/bin/sh
# One clear line where there is no Java that Spark 4.0 runs on.
java=${JAVA_HOME:+$JAVA_HOME/bin/}java
remedy="Spark 4.0 needs Java 17 or 21. Install it, such as: apt-get install openjdk-17-jre-headless"
version=$("$java" -version 2>&1) || {
  echo "No Java found ('$java'). $remedy" >&2
  exit 1
}
major=$(printf '%s\n' "$version" | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1)
case $major in
  17 | 21) ;;
  *)
    echo "'$java' is version ${major:-unknown}. $remedy, and point JAVA_HOME to it" >&2
    exit 1
    ;;
esac
