package ptb

import "strings"

// The lists below were found by running CoreNLP 3.4.1 over every string of up
// to four letters, in three casings, and over some 150,000 longer words, each
// in nine surroundings. A word stands in lower case where its case does not
// matter.
var (
	// Abbreviations that keep their dot, whatever follows but two more letters.
	closingAbbreviations = anyOf(
		blind(`al ala apr ariz assn aug bancorp bhd bldg blvd bros calif co colo conn corp cos ct dak dec
		esq est etc ext feb fla fri ga inc ind intl jan jr jul jun kan kans ky ltd mar md mich minn mo mon
		mont neb nev nov oct okla penn ph\.d plc rd rt sep sept seq sq sr sys tel tenn thu thurs tue tues
		univ va vt wed wis wisc wyo`) + " " +
			capital(`ark az del ill la mass miss ore pa tex wash`) +
			` [Pp][Pp]?[Tt]e [Pp][Pp]?[Tt]y [Pp][Tt][ey][Ss]`)

	// Abbreviations that keep their dot unless a letter comes right after it.
	leadingAbbreviations = anyOf(
		blind(`adj adm adv alex assoc asst atty attys ave brig capt cf cie cmdr col comdr cpl dept det dr
		drs elec ens ft gen gov govs hon insp invt jos lt maj messrs mlle mme mr mrs ms msgr mt natl pfc ph
		pres prof profs pvt rep reps rev sen sens sfc sgt spc st ste supt vs wm`) + ` [Mm]f[Gg] [Mm]t[Gg]`)

	// Abbreviations that keep their dot before a number only.
	numberAbbreviations = anyOf(blind(`art ca fig figs no nos op pp prop`))

	// Words that, capitalised, begin a sentence: a dot between an initial and
	// one of these ends the sentence before.
	sentenceOpeners = anyOf(capital(`a about according additionally after an as at but earlier he her here
		however if in it last many more mr\. ms\. now once one other our she since so some such that the
		their then there these they this we what when while yet you`))

	countryPairs = blind(`(?:canada|sino|korean|eu|japan|non)-u\.s|u\.s\.-(?:u\.k|u\.s\.s\.r)`)

	fileEndings = blind(`bat|bmp|c|class|cgi|cpp|dll|doc|docx|exe|gif|gz|h|htm|html|jar|java|jpeg|jpg|mov|` +
		`mp3|pdf|php|pl|png|ppt|ps|py|sql|tar|txt|wav|x|xml|zip`)

	// Words with an apostrophe inside or at an end that stay whole.
	apostropheWords = strings.Join([]string{
		apostrophe + blind(`(?:n|em|till?|cause|[2-9]0s)`),
		apostrophe + blind(`n`) + apostrophe,
		blind(`(?:[ldj]|ol|dunkin|somethin)`) + apostrophe,
		blind(`cont'd\.?|nor'easter|c'mon|e'er|s'mores|ev'ry|li'l|nat'l`),
		blind(`o`) + anyQuote + blind(`o`),
		`[A-HJ-XZn]` + anyQuote + javaLetter + `{2,}`,
		javaLetter + `+` + blind(`[aeiouy]`) + anyQuote + `[aeiouA-Z]` + javaLetter + `*`,
	}, `|`)

	// Tokens of other kinds that stay whole.
	fixedTokens = strings.Join([]string{
		`-[RrLl][RrCcSs][Bb]-`,
		blind(`c\.d\.s|pro-|anti-|[cf]#|c\+\+`),
		blind(`s`) + ampersand + blind(`(?:p-500|ls)`),
		blind(`cap`) + apostrophe + blind(`n`),
		blind(`c`) + apostrophe + blind(`est`),
	}, `|`)
)

// blind spells a pattern so that its ASCII letters match in either case.
func blind(pattern string) string {
	var b strings.Builder
	inClass := false
	for _, r := range pattern {
		lower := r | 0x20
		switch isLetter := 'a' <= lower && lower <= 'z'; {
		case isLetter && inClass:
			b.WriteString(string(lower-0x20) + string(lower))
		case isLetter:
			b.WriteString("[" + string(lower-0x20) + string(lower) + "]")
		default:
			inClass = r == '[' || inClass && r != ']'
			b.WriteRune(r)
		}
	}
	return b.String()
}

// capital is blind for a list of words whose first letter must be a capital.
func capital(list string) string {
	words := strings.Fields(list)
	for i, w := range words {
		words[i] = strings.ToUpper(w[:1]) + blind(w[1:])
	}
	return strings.Join(words, " ")
}

// anyOf is the alternation of the words of a list.
func anyOf(list string) string { return `(?:` + strings.Join(strings.Fields(list), `|`) + `)` }
