package settings

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	beamlog "github.com/apache/beam/sdks/v2/go/pkg/beam/log"
	"github.com/google/go-cmp/cmp"
)

// ratio is a setting with a form of its own.
type ratio struct{ A, B int }

func (r ratio) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%d/%d", r.A, r.B), nil }

func (r *ratio) UnmarshalText(text []byte) error {
	a, b, ok := strings.Cut(string(text), "/")
	x, errA := strconv.Atoi(a)
	y, errB := strconv.Atoi(b)
	if !ok || errA != nil || errB != nil {
		return errors.New("write it as 90/10")
	}
	*r = ratio{x, y}
	return nil
}

type shared struct {
	Output string `flag:"output" usage:"where to write"`
}

type config struct {
	shared
	Dataset string        `flag:"dataset" usage:"folder of pictures"`
	Epochs  int           `flag:"num_train_epochs" usage:"epochs"`
	Rate    float64       `flag:"learning_rate" usage:"learning rate"`
	Seed    int64         `flag:"seed" usage:"seed"`
	Limit   uint64        `flag:"limit" usage:"most pictures; 0 is all"`
	Freeze  bool          `flag:"freeze_vision" usage:"leave the vision encoder as it is"`
	Wait    time.Duration `flag:"wait" usage:"longest wait"`
	Format  string        `flag:"pixel_format" usage:"pixels" choices:"uint8,float32"`
	Split   ratio         `flag:"split" usage:"shares"`
	Columns []string      `flag:"columns" usage:"columns"`
	Derived int           // no setting
}

var program = Program[config]{
	Name:  "trial",
	About: "Tries settings.",
	Defaults: config{
		shared: shared{Output: "out"}, Epochs: 4, Rate: 5e-5, Format: "uint8", Split: ratio{90, 10},
	},
	Presets: map[string]func(*config){
		"demo":      func(c *config) { c.Dataset, c.Epochs = "demo", 1 },
		"flickr8k":  func(c *config) { c.Dataset = "ariG23498/flickr8k" },
		"unchanged": func(*config) {},
	},
}

// parse settles args on a flag set that has a flag of another's, as Beam's are.
func parse(t *testing.T, p Program[config], args ...string) (config, string, error) {
	t.Helper()
	set := flag.NewFlagSet("trial", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.String("runner", "", "Beam's `runner`")
	set.Bool("async", false, "do not wait")
	var out bytes.Buffer
	c, err := p.Parse(set, args, &out)
	return c, out.String(), err
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "settings.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOrderOfSources(t *testing.T) {
	file := write(t, "num_train_epochs: 7\nlearning_rate: 1e-3\ncolumns: [a, b]\nsplit: 80/20\nfreeze_vision: true\nwait: 90s\nrunner: universal\n")
	withPreset := write(t, "preset: demo\nseed: 3\n")
	tests := []struct {
		name string
		args []string
		want func(*config)
	}{
		{"defaults", nil, func(*config) {}},
		{"preset over defaults", []string{"--preset=demo"}, func(c *config) { c.Dataset, c.Epochs = "demo", 1 }},
		{"file over preset", []string{"--preset=demo", "--config", file}, func(c *config) {
			c.Dataset, c.Epochs, c.Rate, c.Columns, c.Split, c.Freeze, c.Wait = "demo", 7, 1e-3, []string{"a", "b"}, ratio{80, 20}, true, 90*time.Second
		}},
		{"command line over file", []string{"-num_train_epochs", "9", "--config=" + file, "--freeze_vision=false", "--columns=z"}, func(c *config) {
			c.Epochs, c.Rate, c.Columns, c.Split, c.Wait = 9, 1e-3, []string{"z"}, ratio{80, 20}, 90*time.Second
		}},
		{"preset in the file", []string{"--config=" + withPreset}, func(c *config) { c.Dataset, c.Epochs, c.Seed = "demo", 1, 3 }},
		{"preset on the command line over the file's", []string{"--config=" + withPreset, "--preset=flickr8k"}, func(c *config) { c.Dataset, c.Seed = "ariG23498/flickr8k", 3 }},
		{"a value with = and spaces", []string{"--dataset=a b=c#", "--output", "-x", "--freeze_vision"}, func(c *config) { c.Dataset, c.Output, c.Freeze = "a b=c#", "-x", true }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := program.Defaults
			tt.want(&want)
			got, _, err := parse(t, program, tt.args...)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(config{}, shared{})); diff != "" {
				t.Errorf("settings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestProgramsPreset(t *testing.T) {
	p := program
	p.Preset = "demo"
	for args, want := range map[string]string{"": "demo", "--preset=unchanged": "", "--preset=": ""} {
		got, _, err := parse(t, p, strings.Fields(args)...)
		if err != nil || got.Dataset != want {
			t.Errorf("%q: dataset %q, %v; want %q", args, got.Dataset, err, want)
		}
	}
}

func TestWrongSettings(t *testing.T) {
	tests := []struct {
		args []string
		want string
	}{
		{[]string{"--datset=x"}, "unknown flag --datset (did you mean --dataset?); --help lists them"},
		{[]string{"--num-train-epochs=1"}, "unknown flag --num-train-epochs (did you mean --num_train_epochs?); --help lists them"},
		{[]string{"--runer=flink"}, "unknown flag --runer (did you mean --runner?); --help lists them"},
		{[]string{"--zebra"}, "unknown flag --zebra; --help lists them"},
		{[]string{"--num_train_epochs=many"}, `--num_train_epochs: "many": write a whole number`},
		{[]string{"--num_train_epochs=99999999999999999999"}, `--num_train_epochs: "99999999999999999999": the number is too large`},
		{[]string{"--limit=-1"}, `--limit: "-1": write a whole number, 0 or more`},
		{[]string{"--learning_rate=fast"}, `--learning_rate: "fast": write a number`},
		{[]string{"--freeze_vision=maybe"}, `--freeze_vision: "maybe": write true or false`},
		{[]string{"--wait=5"}, `--wait: "5": write a time as 30s, 10m or 2h`},
		{[]string{"--split=90"}, `--split: "90": write it as 90/10`},
		{[]string{"--pixel_format=unit8"}, `--pixel_format: "unit8" is none of uint8, float32 (did you mean uint8?)`},
		{[]string{"--log_level=wran"}, `--log_level: "wran" is none of off, error, warn, info, debug`},
		{[]string{"--preset=dmo"}, `--preset: no preset "dmo" (did you mean demo?); there are: demo, flickr8k, unchanged`},
		{[]string{"--seed"}, "--seed: needs a value: --seed=…"},
		{[]string{"--freeze_vision", "false"}, "--freeze_vision: write its value as --freeze_vision=false"},
		{[]string{"pictures"}, `unexpected argument "pictures": settings are written --name=value`},
		{[]string{"--"}, `unexpected argument "--": settings are written --name=value`},
		{[]string{"--config=/no/such.yaml"}, "--config: /no/such.yaml: no such file or directory"},
	}
	for _, tt := range tests {
		_, _, err := parse(t, program, tt.args...)
		var bad *Error
		if !errors.As(err, &bad) || err.Error() != tt.want {
			t.Errorf("%v:\ngot  %v\nwant %s", tt.args, err, tt.want)
		}
	}
}

func TestWrongConfigFiles(t *testing.T) {
	tests := []struct{ text, want string }{
		{"lerning_rate: 1", `unknown key "lerning_rate" (did you mean learning_rate?)`},
		{"learning_rate: fast", "learning_rate: write a number"},
		{"split: {train: 90}", "split: the value is a map; settings are flat"},
		{"config: other.yaml", "config belongs on the command line"},
		{"preset: nothing_like_it", `no preset "nothing_like_it"; there are: demo, flickr8k, unchanged`},
		{"a: [1, 2", ""},
		{"just words", ""},
	}
	for _, tt := range tests {
		path := write(t, tt.text)
		_, _, err := parse(t, program, "--config="+path)
		var bad *Error
		if !errors.As(err, &bad) || !strings.HasSuffix(err.Error(), tt.want) {
			t.Errorf("%q:\ngot  %v\nwant …%s", tt.text, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: the error has several lines: %v", tt.text, err)
		}
	}
}

func TestPrintConfigReadsBack(t *testing.T) {
	args := []string{"--preset=demo", "--dataset=a: #b", "--output=", "--columns=x,y", "--split=1/2", "--wait=1m30s", "--learning_rate=1e-05", "--limit=18446744073709551615", "--runner=universal", "--async"}
	want, _, err := parse(t, program, args...)
	if err != nil {
		t.Fatal(err)
	}
	_, printed, err := parse(t, program, append(args, "--print_config")...)
	if !errors.Is(err, ErrDone) {
		t.Fatalf("--print_config: %v, want ErrDone", err)
	}
	if !strings.Contains(printed, "preset: demo\noutput: \"\"\n") || !strings.HasSuffix(printed, "async: \"true\"\nrunner: universal\n") {
		t.Errorf("printed:\n%s", printed)
	}
	got, _, err := parse(t, program, "--config="+write(t, printed))
	if err != nil {
		t.Fatalf("%v\nin:\n%s", err, printed)
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(config{}, shared{})); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
}

func TestHelp(t *testing.T) {
	_, out, err := parse(t, program, "--help")
	if !errors.Is(err, ErrDone) {
		t.Fatalf("--help: %v, want ErrDone", err)
	}
	for _, want := range []string{"--learning_rate", "(default 5e-05)", "uint8, float32", "Beam's own:", "--runner runner"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
}

func TestExit(t *testing.T) {
	tests := []struct {
		err  error
		code int
		want string
	}{
		{nil, 0, ""},
		{ErrDone, 0, ""},
		{Bad("dataset", "is empty"), 2, "trial: --dataset: is empty\n"},
		{fmt.Errorf("list: %w", Bad("dataset", "is empty")), 2, "trial: list: --dataset: is empty\n"},
		{errors.New("job failed:\nbroken\r\npipe"), 1, "trial: job failed: broken pipe\n"},
	}
	for _, tt := range tests {
		var out bytes.Buffer
		if code := program.exit(context.Background(), tt.err, &out); code != tt.code || out.String() != tt.want {
			t.Errorf("%v: code %d, %q; want %d, %q", tt.err, code, out.String(), tt.code, tt.want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var out bytes.Buffer
	if code := program.exit(ctx, ctx.Err(), &out); code != ExitStopped || !strings.Contains(out.String(), "interrupted") {
		t.Errorf("interrupted: code %d, %q", code, out.String())
	}
}

func FuzzConfigFile(f *testing.F) {
	for _, seed := range []string{"seed: 1", "a: [1, {b: *c}]", "? - x", "&a [*a]", "{", "columns:\n- a\n- b", "<<: 1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		file := configFile{path: "f"}
		if err := decode([]byte(text), &file.keys); err != nil {
			return
		}
		set := flag.NewFlagSet("trial", flag.ContinueOnError)
		c := program.Defaults
		bind(set, reflect.ValueOf(&c).Elem())
		file.take(presetFlag)
		_ = file.apply(set) // an error is as good as a value; a panic is not
	})
}

func ExampleProgram_Parse() {
	type config struct {
		Dataset string `flag:"dataset" usage:"folder of pictures"`
		Seed    int64  `flag:"split_seed" usage:"seed of the split"`
	}
	p := Program[config]{Name: "preprocess", Defaults: config{Seed: 42}}
	set := flag.NewFlagSet("preprocess", flag.ContinueOnError)
	cfg, err := p.Parse(set, []string{"--dataset=pictures"}, os.Stdout)
	fmt.Println(cfg.Dataset, cfg.Seed, err)
	// Output: pictures 42 <nil>
}

// What Beam logs by the log package is no business of the user's; what ends the
// process, and what others log, is.
func TestWithoutBeam(t *testing.T) {
	var seen bytes.Buffer
	log.SetOutput(withoutBeam{&seen})
	defer log.SetOutput(os.Stderr)
	log.SetFlags(0)
	defer log.SetFlags(log.LstdFlags)
	beamlog.SetLogger(&beamlog.Standard{})
	beamlog.Errorf(t.Context(), "stopping")
	log.Print("ours")
	func() {
		defer func() { _ = recover() }() // Beam panics with what is fatal
		beamlog.Fatalf(t.Context(), "fatal")
	}()
	if diff := cmp.Diff("ours\nfatal\n", seen.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
