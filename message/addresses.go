package message

import (
	"slices"
	"strings"
)

// addressParser reads address lists (RFC 5322 §3.4, §4.4), groups included. It
// takes linear time, reads every list somehow, and what is wrong with one
// address does not touch the next:
//
//   - a comment behind an address without a display name is its name;
//   - several words before an address without angle brackets are its name;
//   - a semicolon outside a group is a comma;
//   - a source route is dropped;
//   - what holds no address at all is a name, or one word alone a mailbox.
type addressParser struct {
	s    string
	i    int
	most int
	list []Address

	inGroup bool
	bracket bracket // where we are with respect to angle brackets
	name    string  // what stood before "<"
	comment string  // the last comment, as written
	text    []byte  // the words so far, their quoting undone
	space   bool    // white space came after text
	word    int     // where the last run of text without white space begins
	start   int     // where the address without brackets begins in text
	at      int     // where its "@" is, or -1
	end     int     // where it ends, or -1
}

// parse reads a list, most entries at the most. The memory of the list before
// is used again.
func (p *addressParser) parse(s string, most int) []Address {
	p.begin(s, most)
	for p.more() {
		if !p.simple() {
			p.step()
		}
	}
	return p.result()
}

func (p *addressParser) begin(s string, most int) {
	*p = addressParser{s: s, most: most, list: p.list[:0], text: p.text}
	p.reset()
}

func (p *addressParser) more() bool { return p.i < len(p.s) && len(p.list) < p.most }

func (p *addressParser) result() []Address {
	p.finish()
	p.endGroup()
	if len(p.list) == 0 {
		return nil
	}
	return slices.Clone(p.list)
}

type bracket uint8

const (
	noBracket bracket = iota
	inBracket
	afterBracket
)

func (p *addressParser) reset() {
	p.bracket, p.name, p.comment = noBracket, "", ""
	p.clearText()
}

func (p *addressParser) clearText() {
	p.text, p.space, p.word, p.start, p.at, p.end = p.text[:0], false, 0, 0, -1, -1
}

// step takes one token.
func (p *addressParser) step() {
	c := p.s[p.i]
	switch c {
	case ' ', '\t', '\r', '\n':
		p.space = true
		for p.i++; p.i < len(p.s) && (p.s[p.i] == ' ' || p.s[p.i] == '\t'); p.i++ {
		}
	case '(':
		end := commentEnd(p.s, p.i)
		p.comment = strings.TrimSpace(strings.TrimSuffix(p.s[p.i+1:end], ")"))
		p.space = true
		p.i = end
	case '"':
		p.quoted()
	case ',', ';', ':', '<', '>', '@':
		p.i++
		p.special(c)
	case ')':
		p.i++
	default:
		p.atom()
	}
}

func (p *addressParser) special(c byte) {
	switch c {
	case ',':
		if p.bracket == inBracket && p.at == 0 { // within a source route
			p.clearText()
			return
		}
		p.finish()
	case ';':
		p.finish()
		p.endGroup()
	case ':':
		p.colon()
	case '<':
		p.openBracket()
	case '>':
		if p.bracket == inBracket {
			p.bracket = afterBracket
		}
	case '@':
		p.atSign()
	}
}

func (p *addressParser) colon() {
	switch {
	case p.bracket == inBracket && p.at == 0:
		p.clearText() // the end of a source route
	case p.bracket == noBracket && p.at < 0:
		p.endGroup()
		if name := string(p.text); name != "" && len(p.list)+1 < p.most {
			p.list = append(p.list, Address{Mailbox: name})
			p.inGroup = true
		}
		p.reset()
	default:
		p.add(":")
	}
}

func (p *addressParser) openBracket() {
	switch p.bracket {
	case inBracket:
		return
	case afterBracket:
		p.finish()
	}
	name := string(p.text)
	p.clearText()
	p.name, p.bracket = name, inBracket
}

func (p *addressParser) atSign() {
	switch {
	case p.bracket == inBracket:
	case p.at < 0:
		p.start = p.word
	case p.end >= 0: // a second address without a comma before it
		next := string(p.text[p.word:])
		p.text = p.text[:p.end]
		p.finish()
		p.text = append(p.text, next...)
	}
	p.at, p.end = len(p.text), -1
	p.text = append(p.text, '@')
	p.space = false
}

// add appends a word or a piece of one.
func (p *addressParser) add(word string) {
	if p.bracket == afterBracket {
		return
	}
	if p.space && len(p.text) > 0 && !p.joins(word) {
		if p.at >= 0 && p.end < 0 && p.bracket == noBracket {
			p.end = len(p.text)
		}
		p.text = append(p.text, ' ')
		p.word = len(p.text)
	}
	p.space = false
	p.text = append(p.text, word...)
}

// joins reports whether white space before word means nothing: behind "@",
// and around dots in brackets (RFC 5322 §4.4).
func (p *addressParser) joins(word string) bool {
	last := len(p.text) - 1
	return p.at == last || p.bracket == inBracket && (p.text[last] == '.' || strings.HasPrefix(word, "."))
}

func (p *addressParser) quoted() {
	inner, rest, escaped := cutQuoted(p.s[p.i:])
	p.i = len(p.s) - len(rest)
	if escaped {
		inner = unquote(inner)
	}
	p.add(inner)
}

// atom takes everything up to the next special character, an encoded word
// whatever it holds, and a domain literal.
func (p *addressParser) atom() {
	if n := encodedWordLen(p.s[p.i:]); n > 0 {
		p.add(p.s[p.i : p.i+n])
		p.i += n
		return
	}
	if p.s[p.i] == '[' && p.at >= 0 && p.at == len(p.text)-1 {
		n := strings.IndexByte(p.s[p.i:], ']') + 1
		if n == 0 {
			n = len(p.s) - p.i
		}
		p.add(p.s[p.i : p.i+n])
		p.i += n
		return
	}
	start := p.i
	for p.i++; p.i < len(p.s) && !isAddressSpecial(p.s[p.i]); p.i++ {
		if p.s[p.i] == '=' && encodedWordLen(p.s[p.i:]) > 0 {
			break
		}
	}
	p.add(p.s[start:p.i])
}

func isAddressSpecial(c byte) bool {
	switch c {
	case ' ', '\t', '\r', '\n', '(', ')', '"', ',', ';', ':', '<', '>', '@', '[':
		return true
	}
	return false
}

// encodedWordLen returns the length of the encoded word (RFC 2047 §2) that s
// begins with, or 0. Its text may hold what has a meaning in address lists.
func encodedWordLen(s string) int {
	if len(s) < 8 || s[0] != '=' || s[1] != '?' {
		return 0
	}
	i := 2
	for i < len(s) && isToken(s[i]) && i < 66 {
		i++
	}
	if i+3 > len(s) || s[i] != '?' || s[i+2] != '?' || strings.IndexByte("bBqQ", s[i+1]) < 0 {
		return 0
	}
	for i += 3; i < len(s) && s[i] > ' ' && s[i] != '?'; i++ {
	}
	if i+1 < len(s) && s[i] == '?' && s[i+1] == '=' {
		return i + 2
	}
	return 0
}

// finish puts the address that was gathered into the list.
func (p *addressParser) finish() {
	if a, ok := p.address(); ok && len(p.list) < p.room() {
		if a.Name == "" {
			a.Name = unquote(p.comment)
		}
		p.list = append(p.list, a)
	}
	p.reset()
}

// room leaves a place for the end of the group.
func (p *addressParser) room() int {
	if p.inGroup {
		return p.most - 1
	}
	return p.most
}

func (p *addressParser) endGroup() {
	if p.inGroup {
		p.list = append(p.list, Address{})
	}
	p.inGroup = false
}

func (p *addressParser) address() (a Address, ok bool) {
	text := string(p.text)
	switch {
	case p.bracket != noBracket && p.at >= 0:
		return newAddress(p.name, text[:p.at], text[p.at+1:]), true
	case p.bracket != noBracket:
		return newAddress(p.name, text, ""), true
	case p.at >= 0:
		if p.end < 0 {
			p.end = len(text)
		}
		return newAddress(strings.TrimRight(text[:p.start], " "), text[p.start:p.at], text[p.at+1:p.end]), true
	case text == "":
		return Address{}, false
	case p.word == 0 && encodedWordLen(text) == 0:
		return newAddress("", text, ""), true
	}
	return newAddress(text, "", ""), true
}

func newAddress(name, mailbox, host string) Address {
	if mailbox == "" {
		mailbox = MissingMailbox
	}
	if host == "" {
		host = MissingHost
	}
	return Address{Name: name, Mailbox: mailbox, Host: host}
}
