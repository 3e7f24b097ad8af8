# Sourced by .ci/run and tests/long/run: runs steps, keeps their logs, counts what passed, and builds.
# The caller sets $logs, a folder for the logs, and ends with `closing`.
passed=0
failed=0
mkdir -p "$logs"

# step NAME COMMAND...: one line for a success, the whole log for a failure
step() {
	name=$1
	shift
	start=$(date +%s)
	if "$@" >"$logs/$name.log" 2>&1; then
		passed=$((passed + 1))
		echo "ok   $name ($(($(date +%s) - start)) s)"
	else
		failed=$((failed + 1))
		echo "FAIL $name ($(($(date +%s) - start)) s)"
		cat "$logs/$name.log"
	fi
}

# suite NAME COMMAND...: a run of ctest; its own verdicts are counted, so that the closing line speaks of tests, not of steps.
suite() {
	name=$1
	shift
	start=$(date +%s)
	"$@" >"$logs/$name.log" 2>&1
	status=$?
	ok=$(grep -cE '^ *[0-9]+/[0-9]+ Test +#.* Passed ' "$logs/$name.log")
	bad=$(grep -E '^ *[0-9]+/[0-9]+ Test +#.*\*\*\*' "$logs/$name.log" | grep -vc Skipped)
	[ "$status" = 0 ] || [ "$bad" -gt 0 ] || bad=1
	[ "$ok" -gt 0 ] || [ "$bad" -gt 0 ] || bad=1
	passed=$((passed + ok))
	failed=$((failed + bad))
	echo "$name: $ok passed, $bad failed ($(($(date +%s) - start)) s)"
	grep -E '^ *[0-9]+/[0-9]+ Test +#.*Skipped' "$logs/$name.log" | sed 's/^/  /'
	[ "$bad" = 0 ] || grep -vE '^ *Start +[0-9]+:| Passed +[0-9.]+ sec$' "$logs/$name.log"
}

build_with() { # build_with DIR CMAKE-ARGS...: configures and builds everything
	dir=$1
	shift
	cmake -S . -B "$dir" -G Ninja "$@" && ninja -C "$dir"
}

# The second compiler, the sanitizers and the fuzzers in one build.
build_sanitized() {
	build_with build/fuzz -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_COMPILER=clang -DORRERY_FUZZ=ON
}

# fuzz TARGET SECONDS: starts from what earlier runs found, if anything; a crash leaves its input beside the corpus
fuzz() {
	corpus=build/fuzz/corpus/$1
	mkdir -p "$corpus"
	[ ! -x "tests/fuzz/seeds_$1" ] || "tests/fuzz/seeds_$1" "$PWD/$corpus"
	build/fuzz/fuzz/fuzz_"$1" -max_total_time="$2" -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 \
		-artifact_prefix="$corpus/../$1-" "$corpus"
}

fuzzers() { # the names of all targets
	for source in tests/fuzz/fuzz_*.c; do
		target=${source#tests/fuzz/fuzz_}
		echo "${target%.c}"
	done
}

closing() {
	echo "$passed passed, $failed failed"
	[ "$failed" = 0 ]
}
