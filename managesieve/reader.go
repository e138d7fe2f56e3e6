package managesieve

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/posthouse-mail/posthouse/internal/wire"
)

// token is a word of a line.
type token struct {
	text string
	kind tokenKind
}

type tokenKind int

const (
	atom  tokenKind = iota // OK, AUTHENTICATE, …
	str                    // a string, quoted or literal
	paren                  // ( or )
)

// Errors of sentence beside those of the connection. After errFraming nobody
// knows where the next line begins.
var (
	errFraming = errors.New("line with a literal that is none")
	errSyntax  = errors.New("line that is none")
	errTooLong = errors.New("line is too long")
)

// literals says which form of literals a side uses (RFC 5804 §4).
type literals int

const (
	ofClients literals = iota // {5+}
	ofServers                 // {5}
)

// sentence reads a line with its literals: at most limit octets of the two
// together.
func sentence(c *wire.Conn, form literals, limit int) (tokens []token, err error) {
	for {
		line, err := c.ReadLine(limit)
		if errors.Is(err, wire.ErrLineTooLong) {
			err = errTooLong
		}
		if err != nil {
			return nil, err
		}
		limit -= len(line)
		text, ok := bytes.CutSuffix(line, []byte("\r\n"))
		if !ok {
			return nil, fmt.Errorf("%w: it ends without CR", errFraming)
		}
		size := -1
		if tokens, size, err = tokenize(tokens, string(text), form); err != nil || size < 0 {
			return tokens, err
		}
		if size > limit {
			return nil, errTooLong
		}
		limit -= size
		content := make([]byte, size)
		if _, err := io.ReadFull(c, content); err != nil {
			return nil, err
		}
		tokens = append(tokens, token{string(content), str})
	}
}

// tokenize takes a line apart. The size is that of the literal that it
// announces at its end, -1 when it does not.
func tokenize(tokens []token, line string, form literals) ([]token, int, error) {
	announces := strings.HasSuffix(line, "}")
	fail := func(why string) ([]token, int, error) {
		if announces {
			return nil, -1, fmt.Errorf("%w: %s", errFraming, why)
		}
		return nil, -1, fmt.Errorf("%w: %s", errSyntax, why)
	}
	if strings.ContainsAny(line, "\r\x00") {
		return fail("control character")
	}
	for line != "" {
		switch c := line[0]; c {
		case ' ':
			line = line[1:]
		case '(', ')':
			tokens, line = append(tokens, token{line[:1], paren}), line[1:]
		case '"':
			text, rest, ok := unquote(line[1:])
			if !ok {
				return fail("string without an end")
			}
			tokens, line = append(tokens, token{text, str}), rest
		case '{':
			size, ok := literalSize(line, form)
			if !ok {
				return fail("not a literal")
			}
			return tokens, size, nil
		default:
			end := strings.IndexAny(line, ` ()"{`)
			if end < 0 {
				end = len(line)
			}
			tokens, line = append(tokens, token{line[:end], atom}), line[end:]
		}
	}
	return tokens, -1, nil
}

// unquote reads the rest of a quoted string.
func unquote(line string) (text, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(line); i++ {
		switch c := line[i]; c {
		case '"':
			return b.String(), line[i+1:], true
		case '\\':
			i++
			if i == len(line) || line[i] != '"' && line[i] != '\\' {
				return "", "", false
			}
		}
		b.WriteByte(line[i])
	}
	return "", "", false
}

// maxDigits is how many digits the size of a literal may have: more can't be
// taken anyway.
const maxDigits = 9

// literalSize reads what announces a literal, at the end of a line.
func literalSize(line string, form literals) (int, bool) {
	digits, ok := strings.CutSuffix(line[1:], "}")
	if !ok {
		return 0, false
	}
	digits, plus := strings.CutSuffix(digits, "+")
	if plus != (form == ofClients) && form == ofClients || len(digits) > maxDigits {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 31)
	return int(n), err == nil
}
