package settings

import (
	"errors"
	"flag"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
)

// setBasic parses text into a field of a basic kind.
func setBasic(v reflect.Value, text string) error {
	bits := func() int { return v.Type().Bits() }
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
		return nil
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		v.SetBool(b)
		return reason(err, "write true or false")
	case reflect.Int, reflect.Int32, reflect.Int64:
		n, err := strconv.ParseInt(text, 0, bits())
		v.SetInt(n)
		return reason(err, "write a whole number")
	case reflect.Uint, reflect.Uint32, reflect.Uint64:
		n, err := strconv.ParseUint(text, 0, bits())
		v.SetUint(n)
		return reason(err, "write a whole number, 0 or more")
	case reflect.Float32, reflect.Float64:
		x, err := strconv.ParseFloat(text, bits())
		v.SetFloat(x)
		return reason(err, "write a number")
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.String {
			return setList(v, text)
		}
	}
	panic(fmt.Sprintf("settings: a field of type %s cannot be a setting", v.Type()))
}

func setList(v reflect.Value, text string) error {
	v.SetZero()
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			v.Set(reflect.Append(v, reflect.ValueOf(part).Convert(v.Type().Elem())))
		}
	}
	return nil
}

// reason replaces the error of strconv, which speaks of its own functions.
func reason(err error, words string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, strconv.ErrRange):
		return errors.New("the number is too large")
	default:
		return errors.New(words)
	}
}

// scan walks args as the flag package will, and returns the value of each flag
// as text. It is where an unknown flag is found, while its name is still known.
func scan(set *flag.FlagSet, args []string) (map[string]string, error) {
	given := map[string]string{}
	for i := 0; i < len(args); i++ {
		name, value, hasValue, ok := split(args[i])
		if !ok {
			return nil, strayArgument(args, i)
		}
		f := set.Lookup(name)
		switch {
		case f == nil && (name == "h" || name == "help"):
			return nil, flag.ErrHelp
		case f == nil:
			return nil, &Error{Problem: fmt.Sprintf("unknown flag --%s%s; --help lists them", name, didYouMean(name, names(set), "--"))}
		case hasValue:
		case isBool(f):
			value = "true"
		case i+1 == len(args):
			return nil, Bad(name, "needs a value: --%s=…", name)
		default:
			i++
			value = args[i]
		}
		given[name] = value
	}
	return given, nil
}

// split takes --name=value apart. ok is false if arg is no flag.
func split(arg string) (name, value string, hasValue, ok bool) {
	name = strings.TrimPrefix(strings.TrimPrefix(arg, "-"), "-")
	if name == arg || name == "" || name[0] == '-' || name[0] == '=' {
		return "", "", false, false
	}
	name, value, hasValue = strings.Cut(name, "=")
	return name, value, hasValue, true
}

func strayArgument(args []string, i int) error {
	if i > 0 {
		if name, _, hasValue, ok := split(args[i-1]); ok && !hasValue {
			return Bad(name, "write its value as --%s=%s", name, args[i])
		}
	}
	return &Error{Problem: fmt.Sprintf("unexpected argument %q: settings are written --name=value", args[i])}
}

func isBool(f *flag.Flag) bool {
	b, ok := f.Value.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}

var invalidValue = regexp.MustCompile(`(?s)^invalid (?:boolean )?value (".*") for (?:flag )?-(\S+): (.*)$`)

// parseArgs sets the flags of args, with errors in our words.
func parseArgs(set *flag.FlagSet, args []string) error {
	set.Usage = func() {}
	err := set.Parse(args)
	if err == nil {
		return nil
	}
	if m := invalidValue.FindStringSubmatch(err.Error()); m != nil {
		return Bad(m[2], "%s: %s", m[1], m[3])
	}
	return &Error{Problem: err.Error()}
}

func names(set *flag.FlagSet) []string {
	var all []string
	set.VisitAll(func(f *flag.Flag) { all = append(all, f.Name) })
	return all
}

// didYouMean names the known word nearest to word, if one is near enough to have
// been meant.
func didYouMean(word string, known []string, dashes string) string {
	word = strings.ReplaceAll(strings.ToLower(word), "-", "_")
	best, least := "", 1+max(1, (len(word)+1)/3)
	for _, k := range known {
		d := distance(word, k)
		if shorter := min(len(word), len(k)); shorter >= 4 && (strings.HasPrefix(word, k) || strings.HasPrefix(k, word)) {
			d = min(d, 1+len(word)/4) // an abbreviation, or a word too many
		}
		if d < least {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %s%s?)", dashes, best)
}

// distance is Levenshtein's, in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
