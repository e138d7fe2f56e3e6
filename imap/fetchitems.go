package imap

import (
	"context"

	"github.com/emersion/go-imap/v2"
)

// fetchItem is one data item of FETCH (RFC 9051 §6.4.5).
type fetchItem struct {
	needs needs
	write func(ctx context.Context, m *fetching) error // writes "NAME value"
}

// needs says what of a message must be at hand for an item.
type needs uint8

const (
	needIndex  needs = 1 << iota // the part index
	needBody                     // the content
	needSeen                     // the item sets \Seen
	needFlags                    // the item is FLAGS
	needUID                      // the item is UID
	needModSeq                   // the item is MODSEQ
)

// simpleItems are the items without a section.
var simpleItems = map[string]fetchItem{
	"UID":           {needs: needUID, write: writeUID},
	"FLAGS":         {needs: needFlags, write: writeFlags},
	"MODSEQ":        {needs: needModSeq, write: writeModSeq},
	"INTERNALDATE":  {write: writeInternalDate},
	"RFC822.SIZE":   {write: writeSize},
	"ENVELOPE":      {needs: needIndex, write: writeEnvelope},
	"BODYSTRUCTURE": {needs: needIndex, write: writeBodyStructure},
	"EMAILID":       {write: writeEmailID},
	"THREADID":      {needs: needIndex | needBody, write: writeThreadID},
	"SAVEDATE":      {write: writeSaveDate},
}

// fetchMacros are short forms (RFC 9051 §6.4.5).
var fetchMacros = map[string][]string{
	"ALL":  {"FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE"},
	"FAST": {"FLAGS", "INTERNALDATE", "RFC822.SIZE"},
	"FULL": {"FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY"},
}

// rfc822Items are BODY[…] by their old names (RFC 3501 §6.4.5).
var rfc822Items = map[string]imap.FetchItemBodySection{
	"RFC822":        {},
	"RFC822.HEADER": {Specifier: imap.PartSpecifierHeader, Peek: true},
	"RFC822.TEXT":   {Specifier: imap.PartSpecifierText},
}

// maxItems bounds the items of one FETCH.
const maxItems = 500

// fetchItems reads a macro, an item, or a list of items.
func (p *parser) fetchItems() (items []fetchItem) {
	if p.peek() == '(' {
		p.list(func() {
			items = append(items, p.fetchItem(p.fetchName()))
			if len(items) > maxItems {
				p.fail("Too many FETCH items")
			}
		})
		if len(items) == 0 {
			p.fail("Missing FETCH items")
		}
		return items
	}
	name := p.fetchName()
	macro, ok := fetchMacros[name]
	if !ok {
		return []fetchItem{p.fetchItem(name)}
	}
	for _, n := range macro {
		items = append(items, p.fetchItem(n))
	}
	return items
}

// fetchName reads the name of an item, up to its section.
func (p *parser) fetchName() string {
	start := p.pos
	for p.more() && classes[p.buf[p.pos]]&sectionEnd == 0 {
		if classes[p.buf[p.pos]]&atomChar == 0 {
			p.fail("Invalid FETCH item")
			return ""
		}
		p.pos++
	}
	return upper(p.buf[start:p.pos])
}

// fetchItem reads on after the name of an item.
func (p *parser) fetchItem(name string) fetchItem {
	if item, ok := simpleItems[name]; ok {
		return item
	}
	if section, ok := rfc822Items[name]; ok {
		return bodyItem(&section, name)
	}
	switch name {
	case "BODY", "BODY.PEEK":
		if p.peek() != '[' && name == "BODY" {
			return fetchItem{needs: needIndex, write: writeBody}
		}
		section := p.bodySection()
		section.Peek = name == "BODY.PEEK"
		return bodyItem(section, sectionLabel(section))
	case "BINARY", "BINARY.PEEK":
		section := &imap.FetchItemBinarySection{Part: p.binarySection(), Partial: p.partial(), Peek: name == "BINARY.PEEK"}
		return binaryItem(section)
	case "PREVIEW":
		return p.previewItem()
	case "BINARY.SIZE":
		return binarySizeItem(p.binarySection())
	}
	p.fail("Unknown FETCH item")
	return fetchItem{}
}
