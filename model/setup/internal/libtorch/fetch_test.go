package libtorch

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/blipflow/blipflow/model/setup/internal/bundle"
	"github.com/blipflow/blipflow/model/setup/internal/progress"
	"github.com/blipflow/blipflow/model/setup/internal/wheel"
)

// fakePip is a python3 that knows `-m pip`: it copies wheels from $WHEELS, and
// fails as $PIP_SAYS says. What it was asked goes into $WHEELS/asked.
const fakePip = `#!/bin/sh
[ "$2" = pip ] || exit 3
[ -n "$NO_PIP" ] && exit 1
[ "$3" = --version ] && exit 0
echo "$*" >> "$WHEELS/asked"
if [ -n "$PIP_SAYS" ]; then echo "$PIP_SAYS" >&2; exit 1; fi
while [ $# -gt 1 ]; do [ "$1" = --dest ] && dest=$2; shift; done
touch "$TMPDIR/half"
cp "$WHEELS/${1%%==*}.whl" "$dest/$(cat "$WHEELS/${1%%==*}.name")"
`

// index is a folder of wheels, served by fakePip alone on PATH.
type index struct {
	dir string
	set fetched
}

func newIndex(t *testing.T) index {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("wheels are fetched on Linux only")
	}
	in := index{dir: t.TempDir()}
	in.add(t, "torch", "2.11.0", map[string]string{
		"torch/lib/libtorch_cpu.so":  read(t, "libtorch_cpu.so"),
		"torch/lib/libc10.so":        read(t, "libc10.so"),
		"torch/lib/libgomp.so.1":     read(t, "libgomp.so.1"),
		"torch/lib/libtorch_cuda.so": "not for the CPU",
		"torch/include/ATen/ATen.h":  "// ATen",
		"torch/__init__.py":          "",
		"torch/include/../../evil.h": "out of the folder",
	})
	in.add(t, "nvidia-cuda-runtime", "13.0.96", map[string]string{
		"nvidia/cu13/lib/libcudart.so.13": read(t, "libcudart.so.13"),
		"nvidia/cu13/include/cuda.h":      "// not torch's",
	})
	bin := t.TempDir()
	write(t, bin, "python3", fakePip)
	if err := os.Chmod(filepath.Join(bin, "python3"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":/usr/bin:/bin")
	t.Setenv("WHEELS", in.dir)
	return in
}

// add makes a wheel and pins it.
func (in *index) add(t *testing.T, name, version string, files map[string]string) {
	t.Helper()
	path := filepath.Join(in.dir, name+".whl")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	archive := zip.NewWriter(f)
	for _, member := range slices.Sorted(maps.Keys(files)) {
		out, err := archive.Create(member)
		if err == nil {
			_, err = out.Write([]byte(files[member]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(archive.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	file := strings.ReplaceAll(name, "-", "_") + "-" + version + ".whl"
	write(t, in.dir, name+".name", file)
	sum := sha256.Sum256(text)
	in.set.wheels = append(in.set.wheels, wheel.Wheel{
		Name: name, Version: version, Platform: "manylinux_2_28_x86_64", Python: "311", ABI: "cp311",
		File: file, SHA256: hex.EncodeToString(sum[:]), Size: int64(len(text)),
	})
}

func (in index) asked(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(in.dir, "asked"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.Count(string(text), "\n")
}

func TestFetch(t *testing.T) {
	in := newIndex(t)
	cache := t.TempDir()
	write(t, cache, "libtorch/.unpack-1/lib/half", "left by an interruption")
	write(t, cache, "download/.pip-1/half", "left by an interruption")
	dir, err := in.set.fetch(t.Context(), cache, progress.Printer{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	err = filepath.WalkDir(cache, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			got = append(got, strings.TrimPrefix(path, cache))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	below := strings.TrimPrefix(dir, cache)
	want := []string{
		below + "/blipflow.json", below + "/include/ATen/ATen.h", below + "/lib/libc10.so",
		below + "/lib/libcudart.so.13", below + "/lib/libgomp.so.1", below + "/lib/libtorch_cpu.so",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the cache holds\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if n := in.asked(t); n != 2 {
		t.Errorf("pip was asked %d times for two wheels", n)
	}
}

func TestFetchAsksByTag(t *testing.T) {
	in := newIndex(t)
	if _, err := in.set.fetch(t.Context(), t.TempDir(), progress.Printer{}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(in.dir, "asked"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"--no-deps", "--only-binary=:all:", "--platform manylinux_2_28_x86_64", "--python-version 311 --implementation cp --abi cp311", "torch==2.11.0"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("pip was not asked with %s: %s", want, text)
		}
	}
}

// What is there is not fetched again; what was damaged or is of another pin is.
func TestFetchAgain(t *testing.T) {
	tests := []struct {
		name   string
		change func(t *testing.T, in *index, dir string)
		want   int // how often pip is asked in all, for two wheels
	}{
		{"nothing changed", func(*testing.T, *index, string) {}, 2},
		{"a library is gone", func(t *testing.T, _ *index, dir string) {
			if err := os.Remove(filepath.Join(dir, "lib", "libgomp.so.1")); err != nil {
				t.Fatal(err)
			}
		}, 4},
		{"a library was cut short", func(t *testing.T, _ *index, dir string) { write(t, dir, "lib/libc10.so", "short") }, 4},
		{"the manifest is broken", func(t *testing.T, _ *index, dir string) { write(t, dir, bundle.ManifestName, "{") }, 4},
		{"another pin", func(t *testing.T, in *index, _ string) {
			w := &in.set.wheels[1]
			w.File = "another-" + w.File
			write(t, in.dir, w.Name+".name", w.File)
		}, 4},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			in, cache := newIndex(t), t.TempDir()
			dir, err := in.set.fetch(t.Context(), cache, progress.Printer{})
			if err != nil {
				t.Fatal(err)
			}
			test.change(t, &in, dir)
			if _, err := in.set.fetch(t.Context(), cache, progress.Printer{}); err != nil {
				t.Fatal(err)
			}
			if !in.set.bundle(cache).Whole() {
				t.Error("the fetched folder is not whole")
			}
			if n := in.asked(t); n != test.want {
				t.Errorf("pip was asked %d times, not %d", n, test.want)
			}
		})
	}
}

// A wheel that was fetched whole before an interruption is used.
func TestFetchUsesFetchedWheel(t *testing.T) {
	in, cache := newIndex(t), t.TempDir()
	torch := in.set.wheels[0]
	text, err := os.ReadFile(filepath.Join(in.dir, "torch.whl"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, cache, "download/"+torch.File, string(text))
	if _, err := in.set.fetch(t.Context(), cache, progress.Printer{}); err != nil {
		t.Fatal(err)
	}
	if n := in.asked(t); n != 1 {
		t.Errorf("pip was asked %d times, though one of two wheels was there", n)
	}
}

func TestFetchFails(t *testing.T) {
	tests := []struct {
		name   string
		change func(t *testing.T, in *index)
		want   string
	}{
		{"wrong hash", func(_ *testing.T, in *index) { in.set.wheels[0].SHA256 = strings.Repeat("0", 64) }, "not the pinned 000"},
		{"no pip", func(t *testing.T, _ *index) { t.Setenv("NO_PIP", "1") }, "has no pip: install it (Debian, Ubuntu: apt install python3-pip"},
		{"no python", func(t *testing.T, _ *index) { t.Setenv("PATH", t.TempDir()) }, "python3 was not found: install it"},
		{"no network", func(t *testing.T, _ *index) {
			t.Setenv("PIP_SAYS", "WARNING: Retrying ... Failed to establish a new connection: [Errno -2]\nERROR: No matching distribution found for torch==2.11.0")
		}, "the package index was not reached: connect to the network"},
		{"no wheel", func(t *testing.T, _ *index) {
			t.Setenv("PIP_SAYS", "ERROR: No matching distribution found for torch==2.11.0")
		}, "the package index has no such wheel"},
		{"full disk", func(t *testing.T, _ *index) {
			t.Setenv("PIP_SAYS", "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device")
		}, "the disk is full"},
		{"anything else", func(t *testing.T, _ *index) { t.Setenv("PIP_SAYS", "ERROR: the moon is in the way") }, "the moon is in the way"},
		{"little space", func(_ *testing.T, in *index) { in.set.unpacked = 1 << 60 }, "too little disk space: libtorch needs"},
		{"no library in the wheel", func(t *testing.T, in *index) {
			in.set.wheels = in.set.wheels[1:]
		}, "no wheel has libtorch_cpu.so"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			in, cache := newIndex(t), t.TempDir()
			test.change(t, &in)
			_, err := in.set.fetch(t.Context(), cache, progress.Printer{})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, not one with %q", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("the error is more than one line: %v", err)
			}
			left, err := filepath.Glob(filepath.Join(cache, "libtorch", "*"))
			if err != nil || len(left) > 0 {
				t.Errorf("%v was left behind (%v)", left, err)
			}
		})
	}
}

// The pins name whole sets, so that no platform is found lacking at a user's.
func TestPins(t *testing.T) {
	for platform, set := range platforms {
		if len(set.wheels) != 3 || set.wheels[0].Name != "torch" || set.wheels[0].Version != FetchedVersion {
			t.Errorf("%s: %+v", platform, set.wheels)
		}
		for _, w := range set.wheels {
			if sum, err := hex.DecodeString(w.SHA256); err != nil || len(sum) != sha256.Size {
				t.Errorf("%s: %s has no SHA-256", platform, w.Name)
			}
			if !strings.Contains(w.File, w.Version) || !strings.Contains(w.File, w.Platform) {
				t.Errorf("%s: %s is not of version %s for %s", platform, w.File, w.Version, w.Platform)
			}
		}
	}
}

func TestInPython(t *testing.T) {
	bin := t.TempDir()
	t.Setenv("PATH", bin)
	if _, err := InPython(t.Context()); !errors.Is(err, wheel.ErrNoPython) {
		t.Errorf("the error is %v, not %v", err, wheel.ErrNoPython)
	}
	answer := func(script string) {
		write(t, bin, "python3", "#!/bin/sh\n"+script+"\n")
		if err := os.Chmod(filepath.Join(bin, "python3"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	answer("echo /site/torch")
	if dir, err := InPython(t.Context()); err != nil || dir != "/site/torch" {
		t.Errorf("got %q, %v", dir, err)
	}
	answer("echo")
	if _, err := InPython(t.Context()); err == nil || !strings.Contains(err.Error(), "has no torch") {
		t.Errorf("a Python without torch gives %v", err)
	}
	answer("exit 1")
	if _, err := InPython(t.Context()); err == nil {
		t.Error("a Python that fails gives no error")
	}
}
