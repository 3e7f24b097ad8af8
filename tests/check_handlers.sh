#!/bin/sh
# The handlers of cpu/exec must be leaves that end in a jump to the next one: no push, no stack frame, no call on the fast
# path (cpu/exec/uop.h). What is slow stands in a function of its own, named *_slow, or out of line (.cold).
# A handler is known by its end: a jump through the first member of a struct uop, jmp *DISP(%reg) or through a register just
# loaded so; jump tables of switch statements add a base first and are told apart by that.
# usage: check_handlers.sh OBJECT_OR_ARCHIVE...
# handlers.allow, beside this script, lists the names that may break the rule, and why.
set -eu
allow=$(grep -v '^#' "$(dirname "$0")/handlers.allow" | paste -sd '|')
objdump -d --no-show-raw-insn "$@" | awk -v allow="$allow" '
function finish() {
	# A slow handler may call, but not the next handler: a chain of such frames would overrun the stack.
	if (chained && name !~ /^(enter|run_chain|cpu_run)/) {
		print name ": calls the next handler instead of jumping to it"
		count++
	}
	if (name == "" || !hot || name ~ allow)
		return
	total++
	if (why != "") {
		print name ": " why
		count++
	}
}
/^[0-9a-f]+ <.*>:$/ {
	finish()
	name = $2
	gsub(/[<>:]/, "", name)
	hot = 0
	why = ""
	chained = 0
	split("", loaded)
	next
}
$2 == "jmp" && $3 ~ /^\*(0x[0-9a-f]+)?\(%r[a-z0-9]+\)$/ && $3 !~ /rip/ { hot = 1 }
$2 == "jmp" && $3 ~ /^\*%r[a-z0-9]+$/ && substr($3, 2) in loaded { hot = 1 }
$2 == "call" && ($3 ~ /^\*0x20\(%r[a-z0-9]+\)$/ || $3 ~ /^\*%r/ && loaded[substr($3, 2)] == 32) { chained = 1 }
{
	to = $3
	sub(/.*,/, "", to)
	if ($2 == "mov" && $3 ~ /^(0x[0-9a-f]+)?\(%r[a-z0-9]+\),%r/ && $3 !~ /rip|rsp/)
		loaded[to] = $3 ~ /^0x20\(/ ? 32 : 1
	else if ($2 !~ /^(cmp|test|jmp|push)/)
		delete loaded[to]
}
why == "" && ($2 ~ /^(push|call)q?$/ || $2 == "sub" && $3 ~ /,%rsp$/) { why = $2 " " $3 " " $4 }
END {
	finish()
	printf "%d handlers, %d with a prologue or a call\n", total, count
	exit count > 0 || total == 0
}'
