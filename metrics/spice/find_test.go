package spice

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFindJava(t *testing.T) {
	says := func(text string) string { return "#!/bin/sh\necho '" + text + "' >&2\n" }
	tests := []struct {
		name       string
		home, path string // what java is there, empty for none
		want       int    // 0 for ErrNoJava
		fromHome   bool
	}{
		{"on PATH", "", says(`openjdk version "17.0.15" 2025-04-15`), 17, false},
		{"Java 8", "", says(`java version "1.8.0_412"`), 8, false},
		{"without dots", "", says(`openjdk version "21" 2023-09-19`), 21, false},
		{"JAVA_HOME first", says(`openjdk version "11.0.2"`), says(`openjdk version "17.0.15"`), 11, true},
		{"JAVA_HOME is too old", says(`java version "1.7.0_80"`), says(`openjdk version "17.0.15"`), 17, false},
		{"JAVA_HOME is broken", "#!/bin/sh\nexit 1\n", says(`openjdk version "17.0.15"`), 17, false},
		{"none", "", "", 0, false},
		{"too old", "", says(`java version "1.6.0"`), 0, false},
		{"the stub of macOS", "", "#!/bin/sh\necho 'No Java runtime present, requesting install.' >&2\nexit 2\n", 0, false},
		{"something else", "", says("hello"), 0, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			home, bin := t.TempDir(), t.TempDir()
			t.Setenv("JAVA_HOME", home)
			t.Setenv("PATH", bin)
			if test.home != "" {
				script(t, filepath.Join(home, "bin", "java"), test.home)
			}
			if test.path != "" {
				script(t, filepath.Join(bin, "java"), test.path)
			}
			path, version, err := findJava(t.Context(), "")
			if test.want == 0 {
				if !errors.Is(err, ErrNoJava) || strings.Contains(err.Error(), "\n") {
					t.Errorf("the error is %v", err)
				}
				return
			}
			if err != nil || version != test.want || strings.HasPrefix(path, home) != test.fromHome {
				t.Errorf("found Java %d at %s, %v", version, path, err)
			}
		})
	}
}

func TestFindJars(t *testing.T) {
	s := fake(t, Config{})
	jars := s.Config.Jars
	t.Run("by the variable", func(t *testing.T) {
		t.Setenv(JarsVariable, jars)
		s, err := Find(t.Context(), Config{Java: s.Java})
		if err != nil || s.Version != 17 || len(s.ClassPath) != 6 || s.ClassPath[0] != filepath.Join(jars, "spice-1.0.jar") {
			t.Errorf("%+v, %v", s, err)
		}
	})
	t.Run("in the cache", func(t *testing.T) {
		cache := t.TempDir()
		t.Setenv(JarsVariable, "")
		t.Setenv("HOME", cache)
		t.Setenv("XDG_CACHE_HOME", cache)
		_, err := Find(t.Context(), Config{Java: s.Java})
		if !errors.Is(err, ErrNoJars) || !strings.Contains(err.Error(), "run make setup-spice") {
			t.Errorf("without jars the error is %v", err)
		}
		user, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(filepath.Join(user, "blipflow", "spice"), os.DirFS(jars)); err != nil {
			t.Fatal(err)
		}
		if _, err := Find(t.Context(), Config{Java: s.Java}); err != nil {
			t.Error(err)
		}
	})
	t.Run("an older Java has JavaScript", func(t *testing.T) {
		found, err := findJars(jars, 11)
		if err != nil || len(found) != 4 || strings.Contains(strings.Join(found, ""), "nashorn") {
			t.Errorf("%v, %v", found, err)
		}
	})
	for _, name := range []string{"lib/nashorn-core-15.4.jar", "lib/stanford-corenlp-3.6.0-models.jar", "spice-1.0.jar"} {
		if err := os.Remove(filepath.Join(jars, name)); err != nil {
			t.Fatal(err)
		}
		if _, err := findJars(jars, 17); !errors.Is(err, ErrNoJars) || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s the error is %v", name, err)
		}
	}
}
