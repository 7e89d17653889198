package card

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// table is a table of Markdown. Header and cells are Markdown themselves.
func table(header []string, rows [][]string) string {
	var b strings.Builder
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	line(header)
	rule := make([]string, len(header))
	for i := range rule {
		rule[i] = "---"
	}
	line(rule)
	for _, row := range rows {
		line(row)
	}
	return b.String()
}

func settings(title string, list []Setting) string {
	var rows [][]string
	for _, s := range list {
		rows = append(rows, []string{inline(s.Key), inline(s.Value)})
	}
	return table([]string{title, "value"}, rows)
}

// markdown escapes what Markdown and the HTML in it would act on.
var markdown = strings.NewReplacer(
	`\`, `\\`, "`", "\\`", `*`, `\*`, `[`, `\[`, `]`, `\]`, `<`, `&lt;`, `>`, `&gt;`, `|`, `\|`, `&`, `&amp;`, `~~`, `\~\~`,
)

// inline is a text within a line of Markdown, or a cell of a table.
func inline(s string) string { return markdown.Replace(oneLine(s)) }

// oneLine joins lines, and drops what no line of text holds.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\u0085' || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
	return strings.TrimSpace(s)
}

// shell is a word of a command line in a POSIX shell.
func shell(s string) string {
	s = oneLine(s)
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./@", r)
	}
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !plain(r) }) {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "`", "\\`").Replace(s) + `"`
}

// python is a value of JSON as Python has it.
func python(json string) string {
	switch json {
	case "true":
		return "True"
	case "false":
		return "False"
	case "null":
		return "None"
	}
	return json
}

// Count writes a whole number with commas between the thousands.
func Count(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// decimal writes a score or a loss: four decimals, more where they would say
// nothing.
func decimal(v float64) string {
	if v != 0 && math.Abs(v) < 1e-3 {
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	return strconv.FormatFloat(v, 'f', 4, 64)
}

func optional(v *float64) string {
	if v == nil {
		return ""
	}
	return decimal(*v)
}

// duration is a time in words of a person.
func duration(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%.1f min", d.Minutes())
	}
	return fmt.Sprintf("%.2f h", d.Hours())
}
