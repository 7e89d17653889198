package settings

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// configFile is what a --config file says, in its order.
type configFile struct {
	path string
	keys yaml.MapSlice
}

// readConfig reads the file at path; an empty path is an empty file.
func readConfig(path string) (*configFile, error) {
	if path == "" {
		return &configFile{}, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fileError(path, err)
	}
	file := &configFile{path: path}
	if err := decode(data, &file.keys); err != nil {
		return nil, fileError(path, err)
	}
	return file, nil
}

// decode reads YAML that should be a map of settings. The library has paniced on
// malformed input, so panics are errors here.
func decode(data []byte, keys *yaml.MapSlice) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("malformed YAML: %v", p)
		}
	}()
	if err := yaml.Unmarshal(data, keys); err != nil {
		return errors.New(firstLine(yaml.FormatError(err, false, false)))
	}
	return nil
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}

// take removes a key and returns its value.
func (c *configFile) take(name string) (string, bool) {
	for i, item := range c.keys {
		if item.Key == name {
			c.keys = slices.Delete(slices.Clone(c.keys), i, i+1)
			return fmt.Sprint(item.Value), true
		}
	}
	return "", false
}

// apply sets the file's values on set.
func (c *configFile) apply(set *flag.FlagSet) error {
	for _, item := range c.keys {
		name := fmt.Sprint(item.Key)
		if name == configFlag || name == printFlag {
			return Bad(configFlag, "%s: %s belongs on the command line", c.path, name)
		}
		if set.Lookup(name) == nil {
			return Bad(configFlag, "%s: unknown key %q%s", c.path, name, didYouMean(name, names(set), ""))
		}
		text, err := scalar(item.Value)
		if err == nil {
			err = set.Set(name, text)
		}
		if err != nil {
			return Bad(configFlag, "%s: %s: %v", c.path, name, err)
		}
	}
	return nil
}

// scalar writes a YAML value as it would stand on the command line.
func scalar(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case []any:
		parts := make([]string, len(v))
		for i, item := range v {
			s, err := scalar(item)
			if err != nil {
				return "", err
			}
			parts[i] = s
		}
		return strings.Join(parts, ","), nil
	case map[string]any, yaml.MapSlice:
		return "", errors.New("the value is a map; settings are flat")
	default:
		return fmt.Sprint(v), nil
	}
}

// printConfig writes the settled values as a file that --config takes: the
// program's settings, then those of Beam's flags that were set.
func printConfig(out io.Writer, set *flag.FlagSet, fields []field, preset string) error {
	var all yaml.MapSlice
	if preset != "" {
		all = append(all, yaml.MapItem{Key: presetFlag, Value: preset})
	}
	ours := map[string]bool{}
	for _, name := range commonFlags {
		ours[name] = true
	}
	for _, f := range fields {
		ours[f.name] = true
		all = append(all, yaml.MapItem{Key: f.name, Value: yamlValue(f.value)})
	}
	set.Visit(func(f *flag.Flag) {
		if !ours[f.Name] {
			all = append(all, yaml.MapItem{Key: f.Name, Value: f.Value.String()})
		}
	})
	data, err := yaml.Marshal(all)
	if err != nil {
		return fmt.Errorf("print the settings: %w", err)
	}
	_, err = out.Write(data)
	return err
}

// yamlValue keeps numbers and booleans as such, and writes everything else as
// its flag would read it.
func yamlValue(v reflect.Value) any {
	text := fieldValue{v}.String()
	if v.Type() == duration {
		return text
	}
	switch v.Kind() {
	case reflect.Bool:
		return v.Bool()
	case reflect.Int, reflect.Int32, reflect.Int64:
		return v.Int()
	case reflect.Uint, reflect.Uint32, reflect.Uint64:
		return v.Uint()
	case reflect.Float32, reflect.Float64:
		return v.Float()
	default:
		return text
	}
}
