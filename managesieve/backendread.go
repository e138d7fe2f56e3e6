package managesieve

import (
	"fmt"
	"strings"

	"github.com/posthouse-mail/posthouse/proxy"
)

// backendReply is a response line of a back end.
type backendReply struct {
	status  string   // OK, NO or BYE; empty: strings alone, as capabilities and challenges are
	code    string   // the word of the response code, in capitals; empty: none
	text    string   // what a person may read
	strings []string // of a line without a status

	codeText string // the string in the response code
}

// String is for logs.
func (r backendReply) String() string {
	return r.status + " (" + r.code + ") " + proxy.OneLine(r.text)
}

func (b *backend) command(text string) (backendReply, error) {
	if _, err := b.conn.WriteString(text + "\r\n"); err != nil {
		return backendReply{}, err
	}
	return b.read()
}

// read reads a line with its literals.
func (b *backend) read() (r backendReply, err error) {
	limit := min(maxBackendLine, b.budget)
	tokens, err := sentence(b.conn, ofServers, limit)
	if err != nil {
		return r, err
	}
	b.budget -= sizeOf(tokens)
	if len(tokens) == 0 {
		return r, fmt.Errorf("%w: it says nothing", errNotSieve)
	}
	if tokens[0].kind != atom {
		return stringsOf(tokens)
	}
	switch r.status = strings.ToUpper(tokens[0].text); r.status {
	case "OK", "NO", "BYE":
	default:
		return r, errNotSieve // what it says may repeat a password: it is not quoted
	}
	rest := tokens[1:]
	if len(rest) > 0 && rest[0] == (token{"(", paren}) {
		if rest, err = r.readCode(rest[1:]); err != nil {
			return r, err
		}
	}
	switch {
	case len(rest) == 0:
	case len(rest) == 1 && rest[0].kind == str:
		r.text = rest[0].text
	default:
		return r, fmt.Errorf("%w: there is more behind %s than a text", errNotSieve, r.status)
	}
	return r, nil
}

// sizeOf is about what tokens have cost, in octets: never less than a line
// costs at least.
func sizeOf(tokens []token) (n int) {
	for _, t := range tokens {
		n += len(t.text) + len(" ")
	}
	return n + len("\r\n")
}

func stringsOf(tokens []token) (r backendReply, err error) {
	for _, t := range tokens {
		if t.kind != str {
			return r, fmt.Errorf("%w: a line holds other things than strings", errNotSieve)
		}
		r.strings = append(r.strings, t.text)
	}
	return r, nil
}

// readCode reads a response code up to its parenthesis (RFC 5804 §1.3), and
// returns what follows.
func (r *backendReply) readCode(tokens []token) (rest []token, err error) {
	for i, t := range tokens {
		switch {
		case t == (token{")", paren}):
			return tokens[i+1:], nil
		case i == 0 && t.kind == atom:
			r.code = strings.ToUpper(proxy.OneLine(t.text))
		case i == 1 && t.kind == str:
			r.codeText = t.text
		}
	}
	return nil, fmt.Errorf("%w: a response code has no end", errNotSieve)
}
