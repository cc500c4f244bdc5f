package main

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// A section is one of an RFC's text, without those below it.
type section struct {
	number     string
	paragraphs []string
}

var (
	numbered  = regexp.MustCompile(`^(?:Appendix )?((?:\d+|[A-Z])(?:\.\d+)*)\. `)
	furniture = regexp.MustCompile(`^\f|\[Page \d+\]$|^RFC \d+ .* \d{4}$`)
	item      = regexp.MustCompile(`^ *([*o-]|\d+\.) `)
)

// readSections reads the text of an RFC as the RFC Editor publishes it, or the Markdown that it was made from.
func readSections(path string) ([]section, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimPrefix(string(text), "\ufeff"), "\n")
	if strings.HasSuffix(path, ".md") {
		return markdown(lines), nil
	}
	return plain(lines), nil
}

// plain reads text in which headings begin at the margin and nothing else does.
func plain(lines []string) []section {
	sections := []section{{}}
	for _, line := range lines {
		if furniture.MatchString(line) {
			continue
		}
		if h := numbered.FindStringSubmatch(line); h != nil {
			sections = append(sections, section{number: h[1], paragraphs: []string{""}})
			continue
		}
		sections[len(sections)-1].add(line)
	}
	return sections[1:]
}

// markdown reads kramdown-rfc, whose headings have depths and no numbers, and whose references have no text.
func markdown(lines []string) []section {
	var (
		sections  = []section{{}}
		reference = regexp.MustCompile(`\{\{[^}]*\}\}`)
		attribute = regexp.MustCompile(`^\{:.*\}$`)
		raised    = strings.NewReplacer("<sup>", "^", "</sup>", "")
		counts    [8]int
		chapter   = strconv.Itoa // by which the number of a section begins
		begun     bool
		code      bool
	)
	for _, line := range lines {
		depth := len(line) - len(strings.TrimLeft(line, "#"))
		switch {
		case strings.HasPrefix(line, "--- middle"):
			begun = true
		case strings.HasPrefix(line, "--- back"):
			chapter, counts = appendix, [8]int{}
		case strings.HasPrefix(line, "~~~") || strings.HasPrefix(line, "```"):
			code = !code
		case !begun || attribute.MatchString(line):
		case depth > 0 && !code:
			counts[depth]++
			clear(counts[depth+1:])
			sections = append(sections, section{number: chapter(counts[1]) + below(counts[2:depth+1]), paragraphs: []string{""}})
		default:
			line = raised.Replace(reference.ReplaceAllString(line, "…"))
			sections[len(sections)-1].add(strings.TrimPrefix(line, ": "))
		}
	}
	return sections[1:]
}

// appendix is the number of the n-th appendix.
func appendix(n int) string { return string(rune('A' + n - 1)) }

// below is what the number of a section has behind its chapter.
func below(counts []int) (number string) {
	for _, n := range counts {
		number += "." + strconv.Itoa(n)
	}
	return number
}

// add adds a line: to the paragraph, or to a new one behind an empty line or with an item of a list.
func (s *section) add(line string) {
	if len(s.paragraphs) == 0 {
		s.paragraphs = []string{""}
	}
	last := &s.paragraphs[len(s.paragraphs)-1]
	switch text := strings.TrimSpace(line); {
	case text == "" && *last != "":
		s.paragraphs = append(s.paragraphs, "")
	case item.MatchString(line) && *last != "":
		s.paragraphs = append(s.paragraphs, text)
	case *last == "":
		*last = text
	default:
		*last += " " + text
	}
}

// end is where a sentence ends and another begins.
var end = regexp.MustCompile(`[^.]\.['")]* +['"(]*[A-Z…]`)

// sentences splits a paragraph.
func sentences(paragraph string) []string {
	var all []string
	begin := 0
	for _, at := range end.FindAllStringIndex(paragraph, -1) {
		stop := at[0] + strings.IndexByte(paragraph[at[0]:], ' ')
		all, begin = append(all, paragraph[begin:stop]), stop+1
	}
	return append(all, strings.TrimSpace(paragraph[begin:]))
}

// draft has every sentence that demands something.
func draft(sections []section) string {
	var b strings.Builder
	for _, s := range sections {
		number := 0
		for _, p := range s.paragraphs {
			if boilerplate(p) {
				continue
			}
			for _, sentence := range sentences(p) {
				if demand.MatchString(sentence) {
					number++
					fmt.Fprintf(&b, "\n%s [%d]\n%s\n", s.number, number, strings.ReplaceAll(strings.Join(strings.Fields(sentence), " "), "…", "..."))
				}
			}
		}
	}
	return b.String()
}

// boilerplate is the paragraph that says what the words mean.
func boilerplate(paragraph string) bool {
	return strings.Contains(paragraph, "key words") || strings.Contains(paragraph, `"MUST"`)
}

// compare says which quotes don't stand in their sections, and which demands of the text are in no quote.
func compare(d document, sections []section) []error {
	var faults []error
	texts := map[string]*text{}
	for _, s := range sections {
		texts[s.number] = newText(s)
	}
	for _, s := range d.statements {
		t := texts[s.section]
		if t == nil || !t.take(s.quote) {
			faults = append(faults, fmt.Errorf("%s isn't in the text: %s", d.key(s), s.quote))
		}
	}
	for _, s := range sections {
		for _, left := range texts[s.number].left() {
			faults = append(faults, fmt.Errorf("%s %s has more: %s", d.name, s.number, left))
		}
	}
	return faults
}

// A text is a section as it is compared: letters and digits alone, since line breaks, quotation marks and markup differ.
type text struct {
	letters string
	demands []int  // where in letters
	taken   []bool // by a quote, one for each letter
}

func newText(s section) *text {
	t := &text{}
	for _, p := range s.paragraphs {
		if boilerplate(p) {
			continue
		}
		for _, at := range demand.FindAllStringIndex(p, -1) {
			t.demands = append(t.demands, len(t.letters)+len(letters(p[:at[0]])))
		}
		t.letters += letters(p)
	}
	t.taken = make([]bool, len(t.letters))
	return t
}

func letters(s string) string {
	return strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return -1
		}
		return r
	}, s)
}

// take marks what a quote covers: its parts between "..." in their order.
func (t *text) take(quote string) bool {
	at := 0
	for _, part := range strings.Split(quote, "...") {
		want := letters(part)
		found := strings.Index(t.letters[at:], want)
		if found < 0 {
			return false
		}
		at += found
		for range want {
			t.taken[at] = true
			at++
		}
	}
	return true
}

// left is what follows each demand that no quote has covered.
func (t *text) left() []string {
	var all []string
	for _, at := range t.demands {
		if !t.taken[at] {
			all = append(all, t.letters[max(0, at-60):min(len(t.letters), at+60)])
		}
	}
	return all
}
