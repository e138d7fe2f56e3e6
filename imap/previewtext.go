package imap

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// excerpt gathers the beginning of a text with its white space collapsed.
type excerpt struct {
	b     strings.Builder
	runes int
	gap   bool // a space belongs before the next character
}

func (e *excerpt) full() bool { return e.runes >= previewLength }

// add takes over text. Characters that nobody sees are left out: many senders
// fill the beginning of their messages with them.
func (e *excerpt) add(text string) {
	for _, r := range text {
		switch {
		case e.full():
			return
		case unicode.IsSpace(r):
			e.gap = e.runes > 0
			continue
		case r == utf8.RuneError, unicode.IsControl(r), unicode.Is(unicode.Cf, r), r == '\u034f':
			continue
		}
		if e.gap && e.runes+1 < previewLength {
			e.b.WriteByte(' ')
			e.runes++
		} else if e.gap {
			e.runes = previewLength
			return
		}
		e.gap = false
		e.b.WriteRune(r)
		e.runes++
	}
}

func (e *excerpt) pause() { e.add(" ") }

// excerpts are what the sender wrote, and what he quotes: that is shown only
// when there is nothing else.
type excerpts struct{ own, quoted excerpt }

func (e *excerpts) String() string {
	if e.own.runes > 0 {
		return e.own.b.String()
	}
	return e.quoted.b.String()
}

// previewOfText leaves out quoted lines and what follows the mark of a
// signature (RFC 3676 §4.3).
func previewOfText(text string) string {
	var e excerpts
	for line := range strings.Lines(text) {
		if e.own.full() || strings.TrimRight(line, "\r\n") == "-- " {
			break
		}
		if strings.HasPrefix(line, ">") {
			e.quoted.add(strings.TrimLeft(line, "> "))
		} else {
			e.own.add(line)
		}
	}
	return e.String()
}

// unseen are elements of which the content is no text.
var unseen = map[atom.Atom]bool{
	atom.Head: true, atom.Style: true, atom.Script: true, atom.Title: true, atom.Template: true, atom.Noframes: true, atom.Textarea: true, atom.Select: true,
}

// inline are elements that don't part words; every other one does.
var inline = map[atom.Atom]bool{
	atom.A: true, atom.Abbr: true, atom.B: true, atom.Big: true, atom.Code: true, atom.Em: true, atom.Font: true, atom.I: true, atom.Ins: true,
	atom.Mark: true, atom.S: true, atom.Small: true, atom.Span: true, atom.Strong: true, atom.Sub: true, atom.Sup: true, atom.Tt: true, atom.U: true, atom.Wbr: true,
}

// previewOfHTML reads the text between tags. It never fails: what is no tag is
// text. Elements that hold no text are followed by name and not by nesting, so
// that one which is never closed ends with the next that is.
func previewOfHTML(text []byte) string {
	var e excerpts
	quotes, hidden := 0, atom.Atom(0)
	for z := html.NewTokenizer(bytes.NewReader(text)); !e.own.full(); {
		kind := z.Next()
		if kind == html.ErrorToken {
			break
		}
		if kind == html.TextToken {
			switch {
			case hidden != 0:
			case quotes > 0:
				e.quoted.add(string(z.Text()))
			default:
				e.own.add(string(z.Text()))
			}
			continue
		}
		if kind != html.StartTagToken && kind != html.EndTagToken && kind != html.SelfClosingTagToken {
			continue
		}
		name, _ := z.TagName()
		tag := atom.Lookup(name)
		if !inline[tag] {
			e.own.pause()
			e.quoted.pause()
		}
		quotes, hidden = elements(kind, tag, quotes, hidden)
	}
	return e.String()
}

// elements follows a tag: how deep in quotations it leads, and which element
// without text it is in.
func elements(kind html.TokenType, tag atom.Atom, quotes int, hidden atom.Atom) (int, atom.Atom) {
	switch {
	case tag == atom.Body: // a head that is not closed ends here
		hidden = 0
	case tag == atom.Blockquote && kind == html.StartTagToken:
		quotes++
	case tag == atom.Blockquote && kind == html.EndTagToken:
		quotes = max(quotes-1, 0)
	case unseen[tag] && kind == html.StartTagToken && hidden == 0:
		hidden = tag
	case tag == hidden && kind == html.EndTagToken:
		hidden = 0
	}
	return quotes, hidden
}
