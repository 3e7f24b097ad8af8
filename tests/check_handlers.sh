#!/bin/sh
# The hot handlers of cpu/exec must be sibling calls with no prologue: no push, no stack frame, no call on the way
# to the next handler (docs/architecture.md, "The fast path"). Slow paths are separate noinline functions.
# usage: check_handlers.sh OBJECT_OR_ARCHIVE... ; HANDLERS is the name pattern (default: h_*), ALLOW those excepted.
set -eu
pattern=${HANDLERS:-^h_}
allow=${ALLOW:-^$}
objdump -d --no-show-raw-insn "$@" | awk -v pattern="$pattern" -v allow="$allow" '
/^[0-9a-f]+ <.*>:$/ {
	name = $2
	gsub(/[<>:]/, "", name)
	hot = name ~ pattern && name !~ allow && name !~ /\.cold/
	if (hot)
		total++
	next
}
hot && $2 ~ /^(push|call|callq|pushq)$/ || hot && $2 == "sub" && $3 ~ /,%rsp$/ {
	if (!(name in bad)) {
		bad[name] = $2 " " $3 " " $4
		order[++count] = name
	}
}
END {
	for (i = 1; i <= count; i++)
		print order[i] ": " bad[order[i]]
	printf "%d handlers, %d with a prologue or a call\n", total, count
	exit count > 0 || total == 0
}'
