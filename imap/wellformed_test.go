package imap

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// checkResponses holds everything that a server sent to the syntax of
// responses (RFC 9051 §9), by other code than that which wrote it. What was
// cut off at the end is well formed as far as it goes.
func checkResponses(output []byte) error {
	r := &responses{b: output}
	for r.pos < len(r.b) {
		from := r.pos
		if err := r.caught(); errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("%w at octet %d of %.500q", err, r.pos-from, r.b[from:])
		}
		if bytes.HasSuffix(r.b[from:r.pos], []byte(" OK DEFLATE active\r\n")) {
			rest, _ := io.ReadAll(flate.NewReader(bytes.NewReader(r.b[r.pos:])))
			r.b, r.pos = rest, 0
		}
	}
	return nil
}

// responses takes responses apart. A mistake is a panic with a syntaxError.
type responses struct {
	b   []byte
	pos int
	nul bool // in a message's own octets, which are served as they were stored
}

type syntaxError struct{ error }

func (r *responses) caught() (err error) {
	defer func() {
		if p := recover(); p != nil {
			mistake, ok := p.(syntaxError)
			if !ok {
				panic(p)
			}
			err = mistake.error
		}
	}()
	r.response()
	return nil
}

func (r *responses) fail(text string) { panic(syntaxError{errors.New(text)}) }

func (r *responses) peek() byte {
	if r.pos >= len(r.b) {
		panic(syntaxError{io.ErrUnexpectedEOF})
	}
	return r.b[r.pos]
}

func (r *responses) next() byte {
	c := r.peek()
	r.pos++
	return c
}

func (r *responses) accept(c byte) bool {
	if r.peek() != c {
		return false
	}
	r.pos++
	return true
}

func (r *responses) expect(text string) {
	for _, c := range []byte(text) {
		if !r.accept(c) {
			r.fail(fmt.Sprintf("%q is missing", text))
		}
	}
}

// response reads one response.
func (r *responses) response() {
	tag := r.word()
	switch {
	case tag == "+":
		r.expect(" ")
		r.text()
		return
	case tag != "*":
		r.expect(" ")
		switch status := r.word(); status {
		case "OK", "NO", "BAD":
			r.statusText()
		default:
			r.fail("unknown tagged response")
		}
		return
	}
	r.expect(" ")
	name := r.word()
	if n, err := strconv.ParseUint(name, 10, 32); err == nil {
		r.expect(" ")
		r.numbered(n)
		return
	}
	check, ok := untaggedResponses[name]
	if !ok {
		r.fail("unknown untagged response")
	}
	check(r)
	if name != "OK" && name != "NO" && name != "BAD" && name != "BYE" {
		r.expect("\r\n")
	}
}

// untaggedResponses are the responses that are known, and what follows them.
var untaggedResponses = map[string]func(r *responses){
	"OK": (*responses).statusText, "NO": (*responses).statusText, "BAD": (*responses).statusText, "BYE": (*responses).statusText,
	"CAPABILITY": (*responses).words, "ENABLED": (*responses).words, "SORT": (*responses).found, "SEARCH": (*responses).found, "VANISHED": (*responses).vanished,
	"FLAGS": func(r *responses) { r.expect(" "); r.list() },
	"LIST":  (*responses).listed, "LSUB": (*responses).listed,
	"STATUS":    func(r *responses) { r.mailbox(); r.expect(" "); r.pairs() },
	"METADATA":  func(r *responses) { r.mailbox(); r.expect(" "); r.pairs() },
	"QUOTA":     func(r *responses) { r.mailbox(); r.expect(" "); r.list() },
	"QUOTAROOT": func(r *responses) { r.mailbox(); r.values() },
	"ACL":       func(r *responses) { r.mailbox(); r.values() }, "LISTRIGHTS": func(r *responses) { r.mailbox(); r.values() },
	"MYRIGHTS": func(r *responses) { r.mailbox(); r.values() }, "NAMESPACE": (*responses).values, "ID": (*responses).values,
	"LANGUAGE": func(r *responses) { r.expect(" "); r.list() }, "ESEARCH": (*responses).values, "THREAD": (*responses).values,
}

func (r *responses) numbered(n uint64) {
	switch name := r.word(); name {
	case "EXISTS", "RECENT":
	case "EXPUNGE":
		r.positive(n)
	case "FETCH", "UIDFETCH":
		r.positive(n)
		r.expect(" ")
		r.fetched()
	default:
		r.fail("unknown numbered response")
	}
	r.expect("\r\n")
}

func (r *responses) positive(n uint64) {
	if n == 0 {
		r.fail("zero")
	}
}

// word reads to a space, a line end or a parenthesis.
func (r *responses) word() string {
	from := r.pos
	for c := r.peek(); c > ' ' && c < 0x7f && c != '(' && c != ')'; c = r.peek() {
		r.pos++
	}
	if from == r.pos {
		r.fail("a word is missing")
	}
	return string(r.b[from:r.pos])
}

func (r *responses) words() {
	for r.accept(' ') {
		r.word()
	}
}

// found reads numbers, with "(MODSEQ n)" after them at most.
func (r *responses) found() {
	for r.accept(' ') {
		if r.peek() == '(' {
			r.pairs()
			return
		}
		r.number()
	}
}

func (r *responses) number() {
	if _, err := strconv.ParseUint(r.word(), 10, 63); err != nil {
		r.fail("a number is missing")
	}
}

func (r *responses) vanished() {
	r.expect(" ")
	if r.accept('(') {
		r.expect("EARLIER) ")
	}
	for _, span := range strings.FieldsFunc(r.word(), func(c rune) bool { return c == ',' || c == ':' }) {
		if n, err := strconv.ParseUint(span, 10, 32); err != nil || n == 0 {
			r.fail("not a set of UIDs")
		}
	}
}

func (r *responses) listed() {
	r.expect(" ")
	r.list()
	r.expect(" ")
	r.value()
	r.mailbox()
	if r.accept(' ') {
		r.list()
	}
}

func (r *responses) mailbox() {
	r.expect(" ")
	if r.peek() == '(' {
		r.fail("a mailbox is missing")
	}
	r.value()
}

// statusText reads " [code] text".
func (r *responses) statusText() {
	r.expect(" ")
	if r.accept('[') {
		r.code()
		r.expect("] ")
	}
	if r.peek() == '\r' {
		r.fail("text is missing")
	}
	r.text()
}

func (r *responses) code() {
	if bytes.HasPrefix(r.b[r.pos:], []byte("BADURL ")) { // as the client wrote it (RFC 4469)
		url, _, _ := bytes.Cut(r.b[r.pos+len("BADURL "):], []byte("]"))
		if len(url) == 0 || bytes.ContainsAny(url, "\r\n") {
			r.fail("not a URL in a response code")
		}
		r.pos += len("BADURL ") + len(url)
		return
	}
	depth, quoted, last := 0, false, byte('[')
	for c := r.peek(); c != ']'; c = r.peek() {
		switch {
		case c < ' ' || c >= 0x7f:
			r.fail("control character or 8 bits in a response code")
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '(':
			depth++
		case c == ')':
			if depth--; depth < 0 {
				r.fail("unbalanced response code")
			}
		case c == ' ' && (last == ' ' || last == '[' || last == '('):
			r.fail("space too many in a response code")
		}
		last = c
		r.pos++
	}
	if last == '[' || last == ' ' || depth != 0 || quoted {
		r.fail("unfinished response code")
	}
}

// text reads to the end of the line.
func (r *responses) text() {
	from := r.pos
	for r.peek() != '\r' {
		if c := r.next(); c == 0 || c == '\n' {
			r.fail("control character in text")
		}
	}
	if !utf8.Valid(r.b[from:r.pos]) {
		r.fail("text is not UTF-8")
	}
	r.expect("\r\n")
}

// values reads values, each with a space before it but for lists after lists.
func (r *responses) values() {
	for r.accept(' ') {
		r.value()
		for r.peek() == '(' && r.b[r.pos-1] == ')' {
			r.list()
		}
	}
}

// list reads "(" values ")".
func (r *responses) list() (count int) {
	r.expect("(")
	for !r.accept(')') {
		if before := r.b[r.pos-1]; before != '(' && (before != ')' || r.peek() != '(') {
			r.expect(" ")
		}
		r.value()
		count++
	}
	return count
}

// pairs reads a list with an even number of values.
func (r *responses) pairs() {
	if r.list()%2 != 0 {
		r.fail("a value is missing")
	}
}

// fetched reads the items of FETCH.
func (r *responses) fetched() {
	r.expect("(")
	for {
		name := r.item()
		r.expect(" ")
		from := r.peek()
		r.nul = strings.HasSuffix(name, "[]") || strings.HasPrefix(name, "RFC822")
		r.value()
		r.nul = false
		list := from == '('
		if want, ok := fetchedLists[name]; ok && list != want && from != 'N' {
			r.fail("wrong value of " + name)
		}
		if r.accept(')') {
			return
		}
		r.expect(" ")
	}
}

// fetchedLists tells the items of FETCH that are lists from those that are not.
var fetchedLists = map[string]bool{
	"FLAGS": true, "ENVELOPE": true, "BODY": true, "BODYSTRUCTURE": true, "MODSEQ": true, "EMAILID": true, "THREADID": true,
	"UID": false, "INTERNALDATE": false, "RFC822.SIZE": false, "RFC822": false, "PREVIEW": false, "SAVEDATE": false,
}

// item reads the name of an item with its section.
func (r *responses) item() string {
	from := r.pos
	for c := r.peek(); c > ' ' && c < 0x7f && strings.IndexByte(`()"{[`, c) < 0; c = r.peek() {
		r.pos++
	}
	if from == r.pos {
		r.fail("an item is missing")
	}
	name := string(r.b[from:r.pos])
	if !r.accept('[') {
		return name
	}
	for r.peek() != ']' {
		switch r.peek() {
		case '(', '"', '{':
			r.value()
		case ' ':
			r.pos++
		default:
			r.sectionWord()
		}
	}
	r.expect("]")
	if r.accept('<') {
		for c := r.next(); c != '>'; c = r.next() {
			if c < '0' || c > '9' {
				r.fail("not an origin")
			}
		}
	}
	return name + "[]"
}

func (r *responses) sectionWord() {
	from := r.pos
	for c := r.peek(); c > ' ' && c < 0x7f && strings.IndexByte(`()"{]`, c) < 0; c = r.peek() {
		r.pos++
	}
	if from == r.pos {
		r.fail("not a section")
	}
}

// value reads a list, a string, a literal or an atom.
func (r *responses) value() {
	switch c := r.peek(); c {
	case '(':
		r.list()
	case '"':
		r.quoted()
	case '{', '~':
		r.literal()
	default:
		from := r.pos
		for c := r.peek(); c > ' ' && c < 0x7f && strings.IndexByte(`()"{`, c) < 0 && (c != '\\' || r.pos == from); c = r.peek() {
			r.pos++
		}
		if from == r.pos {
			r.fail("a value is missing")
		}
	}
}

func (r *responses) quoted() {
	r.expect(`"`)
	from := r.pos
	for c := r.next(); c != '"'; c = r.next() {
		if c == '\\' {
			if c = r.next(); c != '"' && c != '\\' {
				r.fail("wrong escape")
			}
		} else if c == 0 || c == '\r' || c == '\n' {
			r.fail("control character in a quoted string")
		}
	}
	if !utf8.Valid(r.b[from:r.pos]) {
		r.fail("quoted string is not UTF-8")
	}
}

func (r *responses) literal() {
	binary := r.accept('~')
	if binary && r.peek() != '{' { // an atom
		r.word()
		return
	}
	r.expect("{")
	from := r.pos
	for r.peek() >= '0' && r.peek() <= '9' {
		r.pos++
	}
	n, err := strconv.Atoi(string(r.b[from:r.pos]))
	if err != nil {
		r.fail("not a size of a literal")
	}
	r.expect("}\r\n")
	if len(r.b)-r.pos < n {
		panic(syntaxError{io.ErrUnexpectedEOF})
	}
	if !binary && !r.nul && bytes.IndexByte(r.b[r.pos:r.pos+n], 0) >= 0 {
		r.fail("NUL in a literal")
	}
	r.pos += n
}

func TestTheCheckerOfResponsesTellsGoodFromBad(t *testing.T) {
	for _, good := range []string{
		"* OK [CAPABILITY IMAP4rev1 X] ready\r\n", "* 1 FETCH (UID 1 FLAGS (\\Seen a) BODY[HEADER.FIELDS (a \"b\")]<0> {2}\r\n)( ENVELOPE (NIL \"a\\\"b\" ((NIL NIL \"a\" \"b\")(NIL NIL NIL NIL))))\r\na OK x\r\n",
		"* LIST (\\HasNoChildren) \"/\" {2}\r\na\r (\"OLDNAME\" (\"b\"))\r\n", "* VANISHED (EARLIER) 1:3,5\r\n", "* THREAD (1)(2 (3)(4))\r\n", "* ESEARCH (TAG \"a\") UID ALL 1:3\r\n",
		"+ \r\n", "* SEARCH\r\n", "* SEARCH 1 2 (MODSEQ 3)\r\n", "* 3 EXPUN", "* STATUS x (A 1 B (M))\r\n",
	} {
		require.NoError(t, checkResponses([]byte(good)), good)
	}
	for _, wrong := range []string{
		"* OK\r\n", "* OK [X ready\r\n", "* OK [X ] ready\r\n", "* 1 FETCH (UID)\r\n", "* 1 FETCH (UID 1\r\n", "* 1 FETCH (UID 1))\r\n", "* 0 EXPUNGE\r\n", "* LIST () \"/\"\r\n", "* LIST () \"/\" \"a\rb\"\r\n",
		"* NONSENSE\r\n", "a MAYBE x\r\n", "* SEARCH 1  2\r\n", "* 1 FETCH (FLAGS 1)\r\n", "* OK a\nb\r\n", "* STATUS x (A)\r\n", "* VANISHED \r\n", "* 1 EXISTS\n", "* LIST () \"/\" \"a\\b\"\r\n", "* LIST () \"/\" \xc3\xa4\r\n", "\r\n", "* 1 FETCH (PREVIEW {1}\r\n\x00)\r\n",
	} {
		require.Error(t, checkResponses([]byte(wrong)), wrong)
	}
}
