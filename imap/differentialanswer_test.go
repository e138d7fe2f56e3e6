package imap

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// heard is what a server said to a command.
type heard struct {
	line     int // of the script
	command  string
	untagged []response
	tagged   string // without its tag
}

// response is one untagged response with its literals, without the last CRLF.
type response struct{ raw []byte }

// readResponse reads a response, with its literals.
func readResponse(in *bufio.Reader) ([]byte, error) {
	var all []byte
	for {
		line, err := in.ReadBytes('\n')
		all = append(all, line...)
		if err != nil {
			return all, err
		}
		m := literalEnd.FindSubmatch(line)
		if m == nil {
			return bytes.TrimRight(all, "\r\n"), nil
		}
		size, _ := strconv.Atoi(string(m[1]))
		octets := make([]byte, size)
		if _, err := io.ReadFull(in, octets); err != nil {
			return all, err
		}
		all = append(all, octets...)
	}
}

var literalEnd = regexp.MustCompile(`\{(\d+)\}\r\n$`)

// difference is a line of one server's answer that the other's has not.
type difference struct {
	command, side, text string // side: "here" or "Dovecot"
}

func differences(ours, theirs heard) (all []difference) {
	a, b := ours.normal(), theirs.normal()
	only := func(side string, of, other []string) {
		other = slices.Clone(other)
		for _, line := range of {
			if i := slices.Index(other, line); i >= 0 {
				other = slices.Delete(other, i, i+1)
				continue
			}
			all = append(all, difference{ours.command, side, line})
		}
	}
	only("here", a, b)
	only("Dovecot", b, a)
	if len(all) == 0 && !slices.Equal(orderOf(a), orderOf(b)) {
		all = append(all, difference{ours.command, "here", "order: " + strings.Join(orderOf(a), ", ")})
	}
	return all
}

// orderOf returns the lines whose order means something: each EXPUNGE changes
// what the numbers after it mean.
func orderOf(lines []string) (ordered []string) {
	for _, l := range lines {
		if strings.HasSuffix(l, " EXPUNGE") {
			ordered = append(ordered, l)
		}
	}
	return ordered
}

// normal returns an answer's lines in a form that is the same for all answers
// that mean the same: texts for people, capabilities, UIDVALIDITY and
// mod-sequences are left out, strings are quoted in one way, and lists whose
// order is free are sorted.
func (a *heard) normal() []string {
	lines := []string{"tagged " + statusWithoutText(a.tagged)}
	for _, r := range a.untagged {
		text := strings.TrimPrefix(string(r.raw), "* ")
		switch word, _, _ := strings.Cut(text, " "); word {
		case "CAPABILITY":
			continue
		case "OK", "NO", "BAD", "BYE", "PREAUTH":
			if text = statusWithoutText(text); text == "OK" { // for people only
				continue
			}
			lines = append(lines, text)
			continue
		}
		lines = append(lines, normalData(parseNodes(text)))
	}
	return lines
}

var (
	statusCode  = regexp.MustCompile(`^(\w+) \[([^\]]*)\]`)
	modSequence = regexp.MustCompile(`\b(HIGHESTMODSEQ|MODIFIED MODSEQ|MODSEQ) (\(?)\d+`)
	validity    = regexp.MustCompile(`\b(UIDVALIDITY|APPENDUID|COPYUID) \d+`)
)

// statusWithoutText keeps the kind and the response code of a status.
func statusWithoutText(s string) string {
	m := statusCode.FindStringSubmatch(s)
	if m == nil {
		kind, _, _ := strings.Cut(s, " ")
		return kind
	}
	if strings.HasPrefix(m[2], "CAPABILITY") {
		return m[1]
	}
	if strings.HasPrefix(m[2], "PERMANENTFLAGS") {
		m[2] = normalData(parseNodes(m[2]))
	}
	return m[1] + " [" + withoutNumbers(m[2]) + "]"
}

func withoutNumbers(s string) string {
	return validity.ReplaceAllString(modSequence.ReplaceAllString(s, "$1 ${2}M"), "$1 V")
}

// node is an atom, a string or a list.
type node struct {
	atom     string
	text     *string
	children []node
	list     bool
}

func (n node) String() string {
	switch {
	case n.text != nil:
		return fmt.Sprintf("%q", *n.text)
	case n.list:
		words := make([]string, len(n.children))
		for i, c := range n.children {
			words[i] = c.String()
		}
		return "(" + strings.Join(words, " ") + ")"
	}
	return n.atom
}

// parseNodes reads the data of a response.
func parseNodes(s string) []node {
	p := &nodeParser{rest: s}
	return p.nodes()
}

type nodeParser struct{ rest string }

func (p *nodeParser) nodes() (all []node) {
	for p.rest != "" {
		switch p.rest[0] {
		case ' ':
			p.rest = p.rest[1:]
		case ')':
			p.rest = p.rest[1:]
			return all
		case '(':
			p.rest = p.rest[1:]
			all = append(all, node{list: true, children: p.nodes()})
		case '"':
			all = append(all, p.quoted())
		case '{', '~':
			all = append(all, p.literal())
		default:
			all = append(all, p.atom())
		}
	}
	return all
}

func (p *nodeParser) quoted() node {
	var b strings.Builder
	i := 1
	for ; i < len(p.rest) && p.rest[i] != '"'; i++ {
		if p.rest[i] == '\\' {
			i++
		}
		b.WriteByte(p.rest[i])
	}
	p.rest = p.rest[min(i+1, len(p.rest)):]
	text := b.String()
	return node{text: &text}
}

func (p *nodeParser) literal() node {
	head, body, _ := strings.Cut(p.rest, "\r\n")
	size, _ := strconv.Atoi(strings.Trim(head, "~{}"))
	text := body[:size]
	p.rest = body[size:]
	return node{text: &text}
}

// atom reads up to a space or a parenthesis that is not in brackets.
func (p *nodeParser) atom() node {
	depth, i := 0, 0
	for ; i < len(p.rest); i++ {
		switch c := p.rest[i]; {
		case c == '[':
			depth++
		case c == ']':
			depth--
		case depth == 0 && (c == ' ' || c == '(' || c == ')'):
			n := node{atom: p.rest[:i]}
			p.rest = p.rest[i:]
			return n
		}
	}
	n := node{atom: p.rest}
	p.rest = ""
	return n
}

// normalData is one untagged response that is no status.
func normalData(n []node) string {
	word := n[0].atom
	if len(n) > 1 && isNumber(word) {
		word = n[1].atom
	}
	switch word {
	case "FLAGS", "PERMANENTFLAGS":
		sortNodes(n[1].children)
	case "LIST", "LSUB":
		sortNodes(n[1].children)
		n[3] = asText(n[3])
	case "STATUS":
		n[1] = asText(n[1])
		n[2].children = sortedPairs(n[2].children)
	case "SEARCH":
		sortNodes(n[1:])
	case "ESEARCH":
		if len(n) > 2 {
			n = append(n[:2], sortedPairs(n[2:])...)
		}
	case "FETCH":
		n[2].children = sortedPairs(n[2].children)
	}
	words := node{list: true, children: n}.String()
	return withoutNumbers(words[1 : len(words)-1])
}

func isNumber(s string) bool {
	_, err := strconv.Atoi(s)
	return err == nil
}

// asText makes a string of an atom, which means the same in a mailbox name.
func asText(n node) node {
	if n.text == nil {
		return node{text: &n.atom}
	}
	return n
}

func sortNodes(n []node) {
	slices.SortFunc(n, func(a, b node) int { return strings.Compare(a.String(), b.String()) })
}

// sortedPairs sorts names with their values by name.
func sortedPairs(n []node) []node {
	var pairs [][]node
	for i := 0; i < len(n); {
		size := min(2, len(n)-i)
		if n[i].atom == "UID" && size == 2 && !isNumber(n[i+1].atom) { // of ESEARCH
			size = 1
		}
		pairs = append(pairs, normalPair(n[i:i+size]))
		i += size
	}
	slices.SortFunc(pairs, func(a, b []node) int { return strings.Compare(a[0].atom, b[0].atom) })
	return slices.Concat(pairs...)
}

func normalPair(pair []node) []node {
	if len(pair) < 2 {
		return pair
	}
	switch pair[0].atom {
	case "FLAGS":
		sortNodes(pair[1].children)
	case "BODY", "BODYSTRUCTURE": // types, encodings and names of parameters are in any letter case
		lower(&pair[1])
	}
	return pair
}

func lower(n *node) {
	if n.text != nil {
		s := strings.ToLower(*n.text)
		n.text = &s
	}
	for i := range n.children {
		lower(&n.children[i])
	}
}
