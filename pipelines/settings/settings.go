// Package settings turns a pipeline's command line into a settled configuration
// and its outcome into an exit code, so that a main says only what its settings
// are and what to do with them.
//
// # Where a value comes from
//
// Settings are the fields of a struct that carry a flag tag (see [Program]).
// Each value is the last of: the program's default, the preset's
// (--preset=NAME), the one in --config=FILE.yaml, the one on the command line. The
// YAML file holds the same keys as the command line, Beam's own included; an
// unknown key or flag is an error that names the nearest known one.
// --print_config prints the settled values as such a file and exits.
//
// Beam keeps its flags (--runner, --endpoint, …) on [flag.CommandLine]; the
// settings are registered there beside them, since a worker process of Beam's is
// started with flags of its own on the same program.
//
// # Outcome
//
// Exit code 0 means that the output is complete, 1 that the run failed, 2 that a
// setting is wrong and nothing was begun. Errors are one line on stderr.
package settings

import (
	"encoding"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Program is a pipeline's command line. T is a struct of settings. A field
//
//	Seed int64 `flag:"split_seed" usage:"seed of the split by content"`
//
// is the setting --split_seed. Fields may be bool, string, int, int64, uint64,
// float64, time.Duration, types based on these, []string (comma-separated), and
// anything that implements encoding.TextMarshaler and (by pointer)
// encoding.TextUnmarshaler. A tag choices:"a,b" lists the only values of a
// string. Fields of an embedded struct are settings too, which is how pipelines
// share some.
type Program[T any] struct {
	// Name is the command's name, as in ./pipelines/Name.
	Name string
	// About says in a sentence or two what the command does.
	About string
	// Defaults are the settings' values where nothing sets them.
	Defaults T
	// Presets are named sets of other defaults.
	Presets map[string]func(*T)
	// Preset is the preset that holds if --preset is not given; may be empty.
	Preset string
	// Argument names the setting that a bare argument gives the value of, as in
	// `command photo.jpg`. Empty means that there are no bare arguments.
	Argument string
	// Validate checks the settled values before any work; it may also settle
	// what depends on other settings. Errors from Bad name their flag.
	Validate func(*T) error
}

// ErrDone is returned by Parse when the command line asked only for help or for
// the settled values, and has been answered.
var ErrDone = errors.New("answered")

// Error is a wrong setting.
type Error struct {
	// Flag is the setting's name, without dashes; may be empty.
	Flag string
	// Problem says what is wrong with it, and what to do.
	Problem string
}

func (e *Error) Error() string {
	if e.Flag == "" {
		return e.Problem
	}
	return "--" + e.Flag + ": " + e.Problem
}

// Bad returns an *Error about the setting of that name.
func Bad(name, format string, args ...any) error {
	return &Error{Flag: name, Problem: fmt.Sprintf(format, args...)}
}

// Names of the settings that every program has.
const (
	configFlag = "config"
	presetFlag = "preset"
	printFlag  = "print_config"
	logFlag    = "log_level"
)

var commonFlags = []string{configFlag, presetFlag, printFlag, logFlag}

// logOff is the default of --log_level.
const logOff = "off"

var logLevels = []string{logOff, "error", "warn", "info", "debug"}

// Parse settles the values of args, registering the settings on set. What the
// command line asks to print goes to out.
func (p Program[T]) Parse(set *flag.FlagSet, args []string, out io.Writer) (T, error) {
	cfg := p.Defaults
	fields := bind(set, reflect.ValueOf(&cfg).Elem())
	var common struct {
		config, preset, log string
		print               bool
	}
	set.StringVar(&common.config, configFlag, "", "YAML `file` of settings; flags on the command line win")
	set.StringVar(&common.preset, presetFlag, p.Preset, "set of defaults: "+strings.Join(p.presetNames(), ", "))
	set.BoolVar(&common.print, printFlag, false, "print the settled values as YAML and exit")

	set.StringVar(&common.log, logFlag, logOff, "log of the runner and its workers: "+strings.Join(logLevels, ", "))

	args = p.nameArgument(set, args)
	given, err := scan(set, args)
	if errors.Is(err, flag.ErrHelp) {
		p.usage(out, set, fields)
		return cfg, ErrDone
	}
	if err != nil {
		return cfg, err
	}
	file, err := readConfig(given[configFlag])
	if err != nil {
		return cfg, err
	}
	if err := p.applyPreset(&cfg, given, file, &common.preset); err != nil {
		return cfg, err
	}
	if err := file.apply(set); err != nil {
		return cfg, err
	}
	if err := parseArgs(set, args); err != nil {
		return cfg, err
	}
	fields = append(fields, field{name: logFlag, choices: logLevels, value: reflect.ValueOf(&common.log).Elem()})
	if err := checkChoices(fields); err != nil {
		return cfg, err
	}
	if common.print {
		if err := printConfig(out, set, fields, common.preset); err != nil {
			return cfg, err
		}
		return cfg, ErrDone
	}
	return cfg, nil
}

// nameArgument writes the first bare argument of args as a flag. A second one, or a
// value that belongs to the flag before it, stays as it is.
func (p Program[T]) nameArgument(set *flag.FlagSet, args []string) []string {
	if p.Argument == "" {
		return args
	}
	for i := 0; i < len(args); i++ {
		name, _, hasValue, isFlag := split(args[i])
		if !isFlag {
			args = slices.Clone(args)
			args[i] = "--" + p.Argument + "=" + args[i]
			return args
		}
		if f := set.Lookup(name); f != nil && !hasValue && !isBool(f) {
			i++
		}
	}
	return args
}

// applyPreset puts the preset's values over the defaults. The command line's
// choice of preset wins over the file's.
func (p Program[T]) applyPreset(cfg *T, given map[string]string, file *configFile, preset *string) error {
	if name, ok := file.take(presetFlag); ok {
		*preset = name
	}
	if name, ok := given[presetFlag]; ok {
		*preset = name
	}
	if *preset == "" {
		return nil
	}
	apply, ok := p.Presets[*preset]
	if !ok {
		return Bad(presetFlag, "no preset %q%s; there are: %s", *preset, didYouMean(*preset, p.presetNames(), ""), strings.Join(p.presetNames(), ", "))
	}
	apply(cfg)
	return nil
}

// field is one setting.
type field struct {
	name    string
	usage   string
	choices []string
	value   reflect.Value
}

// bind registers every tagged field of the struct v on set.
func bind(set *flag.FlagSet, v reflect.Value) []field {
	if v.Kind() != reflect.Struct {
		panic(fmt.Sprintf("settings: %s is no struct", v.Type()))
	}
	var fields []field
	for i := range v.NumField() {
		f, fv := v.Type().Field(i), v.Field(i)
		if f.Anonymous && f.Type.Kind() == reflect.Struct {
			fields = append(fields, bind(set, fv)...)
			continue
		}
		name, ok := f.Tag.Lookup("flag")
		if !ok {
			continue
		}
		one := field{name: name, usage: f.Tag.Get("usage"), value: fv}
		if c := f.Tag.Get("choices"); c != "" {
			one.choices = strings.Split(c, ",")
			one.usage += " (" + strings.Join(one.choices, ", ") + ")"
		}
		set.Var(fieldValue{fv}, name, one.usage)
		fields = append(fields, one)
	}
	return fields
}

// checkChoices refuses a value outside its field's choices.
func checkChoices(fields []field) error {
	for _, f := range fields {
		if f.choices == nil {
			continue
		}
		got := fieldValue{f.value}.String()
		known := false
		for _, c := range f.choices {
			known = known || c == got
		}
		if !known {
			return Bad(f.name, "%q is none of %s%s", got, strings.Join(f.choices, ", "), didYouMean(got, f.choices, ""))
		}
	}
	return nil
}

// fieldValue is a flag.Value over a struct's field.
type fieldValue struct{ v reflect.Value }

var duration = reflect.TypeFor[time.Duration]()

// IsBoolFlag lets a bare --name mean true.
func (f fieldValue) IsBoolFlag() bool { return f.v.Kind() == reflect.Bool }

func (f fieldValue) String() string {
	if !f.v.IsValid() { // flag asks this of the zero fieldValue
		return ""
	}
	if m, ok := f.v.Interface().(encoding.TextMarshaler); ok {
		text, err := m.MarshalText()
		if err != nil {
			return ""
		}
		return string(text)
	}
	if list, ok := f.v.Interface().([]string); ok {
		return strings.Join(list, ",")
	}
	return fmt.Sprint(f.v.Interface())
}

// Set parses text into the field.
func (f fieldValue) Set(text string) error {
	if u, ok := f.v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	if f.v.Type() == duration {
		d, err := time.ParseDuration(text)
		if err != nil {
			return errors.New("write a time as 30s, 10m or 2h")
		}
		f.v.SetInt(int64(d))
		return nil
	}
	return setBasic(f.v, text)
}

// fileError says which configuration file is meant, without the path twice.
func fileError(path string, err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return Bad(configFlag, "%s: %v", path, err)
}
