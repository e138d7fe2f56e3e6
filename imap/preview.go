package imap

import (
	"context"
	"io"

	"github.com/posthouse-mail/posthouse/message"
)

// Bounds of a preview.
const (
	previewLength = 200      // characters that are shown (RFC 8970 §3.1)
	previewOctets = 32 << 10 // decoded octets of a part that are looked at
	previewParts  = 8        // parts that are looked at
)

// previewItem reads on after PREVIEW (RFC 8970 §3). A preview is made when it is
// asked for, so LAZY changes nothing. What else may stand in parentheses after
// the only item of a FETCH is a modifier of FETCH.
func (p *parser) previewItem() fetchItem {
	if lookahead := (&parser{buf: p.buf, pos: p.pos}); lookahead.accept(' ') && lookahead.accept('(') && lookahead.keyword("LAZY") {
		p.space()
		p.list(func() {
			if p.word() != "LAZY" {
				p.fail("Unknown PREVIEW modifier")
			}
		})
	}
	return fetchItem{needs: needIndex | needBody, write: writePreview}
}

// writePreview writes PREVIEW: a few words that tell what the message says.
func writePreview(ctx context.Context, m *fetching) error {
	m.out.text("PREVIEW ")
	m.out.string(preview(ctx, m.body, m.part))
	return nil
}

// preview returns the beginning of a message's text in UTF-8, white space
// collapsed; empty when it has none that can be read.
func preview(ctx context.Context, b message.Body, root *message.Part) string {
	for _, p := range readableParts(nil, root) {
		text, _ := io.ReadAll(io.LimitReader(cancellable{ctx, message.TextReader(b, p)}, previewOctets)) // what came before an error tells enough
		var shown string
		if p.Subtype == "html" {
			shown = previewOfHTML(text)
		} else {
			shown = previewOfText(string(text))
		}
		if shown != "" {
			return shown
		}
	}
	return ""
}

// readableParts adds the parts below p that people read, in the order in which
// a preview is looked for: plain text before its alternatives.
func readableParts(parts []*message.Part, p *message.Part) []*message.Part {
	if len(parts) >= previewParts || p.Disposition == "attachment" {
		return parts
	}
	switch {
	case p.Type == "text" && (p.Subtype == "plain" || p.Subtype == "html"):
		return append(parts, p)
	case p.Type != "multipart":
		return parts
	}
	plain := func(c *message.Part) bool { return c.Type == "text" && c.Subtype == "plain" }
	if p.Subtype == "alternative" {
		for _, c := range p.Parts {
			if plain(c) {
				parts = readableParts(parts, c)
			}
		}
	}
	for _, c := range p.Parts {
		if p.Subtype != "alternative" || !plain(c) {
			parts = readableParts(parts, c)
		}
	}
	return parts
}
