package spice

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// fakeJava stands for Java and the jar. A prediction "n12 …" gives the scores
// tp 12 and f 1, in the reverse order of the input; words in it make Java fail:
//
//	CRASH    an exception
//	MEMORY   no memory left
//	GARBAGE  output that is no JSON
//	LESS     output without a picture
//	MISSING  no output, and no error
//	FLOOD    a megabyte on stderr and stdout, and then scores
//	HANG     never ends, and neither does what it started, which writes to $BEAT
//	CHILD    ends at once, but not what it started, which holds on to stderr
//
// A file $BROKEN makes it crash always. $LOG has a line for every process: its
// pictures, and its arguments.
const fakeJava = `#!/bin/sh
if [ "$1" = -version ]; then echo 'openjdk version "17.0.15" 2025-04-15' >&2; exit 0; fi
all="$*"
while [ "$1" != edu.anu.spice.SpiceScorer ]; do shift; done
in=$2 out=$4
echo "$(grep -c image_id "$in") $all" >> "$LOG"
touch beside-itself
crash() { echo "Exception in thread main java.lang.Exception: $1" >&2; echo "	at edu.anu.Spice" >&2; exit 1; }
[ -n "$BROKEN" ] && crash broken
has() { grep -q "$1" "$in"; }
beat() { while :; do echo beat >> "$BEAT"; sleep 0.02; done; }
has CRASH && crash CRASH
has MEMORY && exit 3
has GARBAGE && echo '[{"image_id' > "$out" && exit 0
has MISSING && exit 0
has FLOOD && { head -c 1000000 /dev/zero | tr '\0' x >&2; head -c 1000000 /dev/zero; echo >&2; }
has CHILD && { beat & exit 1; }
has HANG && { beat & beat; }
awk -v less=$(has LESS && echo 1) '
	{ n[NR] = 0; if (match($0, /"test":"n[0-9]+/)) n[NR] = substr($0, RSTART+9, RLENGTH-9) }
	END {
		printf "["
		for (i = NR; i > less+0; i--) {
			printf "%s{\"image_id\":%d,\"scores\":{", (i < NR ? "," : ""), i-1
			split("All Object Attribute Relation Cardinality Color Size", names, " ")
			for (k = 1; k <= 7; k++)
				printf "%s\"%s\":{\"f\":%s,\"pr\":%s,\"re\":%s,\"tp\":%d,\"fp\":0,\"fn\":0,\"numImages\":1}", (k > 1 ? "," : ""), names[k], (k < 7 ? "1" : "null"), (k < 7 ? "1" : "null"), (k < 7 ? "1" : "null"), n[i]
			printf "}}"
		}
		printf "]"
	}' "$in" > "$out"
`

// fake gives a Scorer on fakeJava, with a folder of its own for what it writes,
// which has to be empty after the test.
func fake(t *testing.T, c Config) Scorer {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the stand-in for Java is a shell script")
	}
	dir := t.TempDir()
	c.Java, c.Jars, c.Temp = filepath.Join(dir, "java"), filepath.Join(dir, "jars"), filepath.Join(dir, "temp")
	script(t, c.Java, fakeJava)
	for _, name := range []string{"spice-1.0.jar", "lib/stanford-corenlp-3.6.0.jar", "lib/stanford-corenlp-3.6.0-models.jar", "lib/Meteor-1.5.jar", "lib/nashorn-core-15.4.jar", "lib/asm-7.3.1.jar"} {
		write(t, filepath.Join(c.Jars, name), "jar")
	}
	if err := os.Mkdir(c.Temp, 0o777); err != nil {
		t.Fatal(err)
	}
	t.Setenv("LOG", filepath.Join(dir, "log"))
	t.Setenv("BEAT", filepath.Join(dir, "beat"))
	s, err := Find(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if left, err := os.ReadDir(c.Temp); err != nil || len(left) > 0 {
			t.Errorf("%v was left behind (%v)", left, err)
		}
	})
	return s
}

func script(t *testing.T, path, text string) {
	t.Helper()
	write(t, path, text)
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o777), os.WriteFile(path, []byte(text), 0o666)); err != nil {
		t.Fatal(err)
	}
}

// processes are the lines of the log.
func processes(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(os.Getenv("LOG"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}
