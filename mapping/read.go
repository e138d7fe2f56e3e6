package mapping

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/posthouse-mail/posthouse/mail"
)

// Bounds of a file map.
const (
	maxLine     = 4096    // octets
	maxRecords  = 1 << 32 // octets of all exact lines
	maxPatterns = 10_000  // expressions: each is tried in turn
	maxErrors   = 20      // bad lines that are told
)

// LineError is what is wrong with a line of a file map.
type LineError struct {
	Line int // from 1
	Err  error
}

// Error tells the line and the reason.
func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

// Unwrap returns the reason.
func (e *LineError) Unwrap() error { return e.Err }

// Reasons of a LineError, besides ErrBadRoute and those of package regexp.
var (
	ErrBadLine   = errors.New("bad line")
	ErrDuplicate = errors.New("name is mapped already")
)

// ReadTable reads a file map: text in UTF-8, one rule a line.
//
//	# comment; empty lines are nothing too
//	alice@example.test       10.0.0.11
//	bob                      mail2.example.test:1143
//	carol@example.test       [2001:db8::7],user=carol,tls=implicit
//	/^test-.*@example\.test$/ 10.0.0.13
//	/^(.*)@old\.test$/       10.0.0.12,user=$1@example.test
//	*@example.net            10.0.0.12:143,tls=start
//
// What stands before the last spaces of a line is the key, what stands behind
// them the route, see ParseRoute. A key is one of:
//
//   - a name, as users log in or as mail is addressed to them, in any letter
//     case. Of names in the table the order doesn't matter, and each may
//     stand there once. A name with a sub-address "+tag" has a line of its own
//     or that of the name without it.
//   - "*@" and a domain: everybody in that domain.
//   - an expression (RE2) between slashes, which is matched without regard to
//     letter case against the name in small letters, anywhere unless ^ and $
//     say where. A key that begins with a slash is always an expression.
//
// Names come before all patterns; of the patterns, the first in the file that
// fits decides. In the route of a pattern, user may hold $1 or ${1} for what
// the expression's first group matched, or for what the * stood for; $$ is a
// dollar. Each expression costs time at each lookup that no name answers.
//
// The error joins a LineError for each of the first bad lines; no table is
// returned with it.
func ReadTable(r io.Reader) (*Table, error) {
	b := newBuilder()
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, maxLine), maxLine)
	n := 0
	for lines.Scan() {
		n++
		line := lines.Bytes()
		if n == 1 {
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		if err := b.add(n, line); err != nil {
			b.fail(n, err)
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		b.fail(n+1, fmt.Errorf("%w: longer than %d octets", ErrBadLine, maxLine))
	} else if err != nil {
		return nil, err
	}
	return b.table()
}

// add takes one line in.
func (b *builder) add(n int, text []byte) error {
	line := strings.TrimSpace(string(text))
	if line == "" || line[0] == '#' {
		return nil
	}
	if !utf8.ValidString(line) {
		return badLine("not UTF-8")
	}
	cut := strings.LastIndexAny(line, " \t")
	if cut < 0 {
		return badLine("no route")
	}
	key := strings.TrimSpace(line[:cut])
	route, err := ParseRoute(line[cut+1:])
	if err != nil {
		return err
	}
	switch {
	case key[0] == '/':
		return b.addExpression(key, route)
	case key[0] == '*':
		return b.addDomain(key, route)
	}
	return b.addName(n, key, route)
}

func (b *builder) addExpression(key string, route Route) error {
	if len(key) < 3 || key[len(key)-1] != '/' {
		return badLine("an expression stands between slashes, with one route behind it")
	}
	if len(b.t.patterns) == maxPatterns {
		return badLine("too many expressions")
	}
	re, err := regexp.Compile("(?i)" + key[1:len(key)-1])
	if err != nil {
		return err
	}
	target, err := newTarget(route, re.NumSubexp())
	if err != nil {
		return err
	}
	b.t.patterns = append(b.t.patterns, expression{re, target})
	return nil
}

func (b *builder) addDomain(key string, route Route) error {
	domain, ok := strings.CutPrefix(key, "*@")
	if !ok {
		return badLine("a star stands alone before @")
	}
	if _, err := mail.Postmaster.WithDomain(domain); err != nil {
		return badLine("no domain behind @")
	}
	target, err := newTarget(route, 1)
	if err != nil {
		return err
	}
	domain = mail.DomainKey(domain)
	if _, ok := b.t.domains[domain]; ok {
		return fmt.Errorf("%w: *@%s", ErrDuplicate, domain)
	}
	if b.t.domains == nil {
		b.t.domains = make(map[string]domainPattern)
	}
	b.t.domains[domain] = domainPattern{before: len(b.t.patterns), target: target}
	return nil
}

func (b *builder) addName(n int, key string, route Route) error {
	if strings.Contains(key, "*") {
		return badLine("a star stands alone before @; elsewhere an expression is needed")
	}
	if strings.ContainsAny(key, " \t") {
		if _, err := mail.ParseAddress(key); err != nil {
			return badLine("a name and one route")
		}
	}
	name, ok := NormalName(key)
	if !ok {
		return badLine("nobody can have this name")
	}
	return b.addRecord(n, name, route)
}

func badLine(why string) error { return fmt.Errorf("%w: %s", ErrBadLine, why) }
