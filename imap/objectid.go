package imap

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// mailboxID is how MAILBOXID names a mailbox (RFC 8474 §4).
func mailboxID(id storage.MailboxID) string { return "(F" + strconv.FormatUint(uint64(id), 10) + ")" }

// mailboxIDCode is the response code for a mailbox that was just made; "" when
// it is gone already.
func mailboxIDCode(ctx context.Context, p *place) string {
	box, err := p.open(ctx)
	if err != nil {
		return ""
	}
	return "MAILBOXID " + mailboxID(box.ID())
}

// writeEmailID writes EMAILID (RFC 8474 §5.1).
func writeEmailID(ctx context.Context, m *fetching) error {
	id, err := m.beside.object(ctx, m.view, m.entry.uid)
	m.out.text("EMAILID (" + id.Email + ")")
	return err
}

// writeThreadID writes THREADID (RFC 8474 §5.2).
func writeThreadID(ctx context.Context, m *fetching) error {
	id, err := m.beside.object(ctx, m.view, m.entry.uid)
	if err == nil && id.Thread == "" {
		var header []byte
		if header, err = readAll(m.body, 0, min(m.part.Body, maxHeader)); err == nil {
			id.Thread = threadID(header, id.Email)
		}
	}
	m.out.text("THREADID (" + id.Thread + ")")
	return err
}

// placeID names the content of a message in a store that doesn't: by where it
// is, so that copies have other names.
func placeID(v *view, uid imap.UID) string {
	return "M" + digest(fmt.Sprintf("%d %d %d", v.box.ID(), v.validity, uid))
}

// threadID names the thread of a message in a store that doesn't: by the
// message that began it, the first of References, else of In-Reply-To, else
// itself. It needs no other message, and stays whatever comes or goes. A
// message without any of these fields is a thread alone, by its content's name.
func threadID(header []byte, email string) string {
	var references, parent, own string
	for f := range message.Fields(header) {
		var id *string
		switch strings.ToLower(f.Name) {
		case "references":
			id = &references
		case "in-reply-to":
			id = &parent
		case "message-id":
			id = &own
		default:
			continue
		}
		if *id == "" {
			*id = firstMessageID(message.Unfold(f.Raw))
		}
	}
	for _, id := range []string{references, parent, own} {
		if id != "" {
			return "T" + digest(id)
		}
	}
	return "T" + digest("email "+email)
}

// firstMessageID returns the first "<…>" of a field without white space.
func firstMessageID(field string) string {
	_, rest, _ := strings.Cut(field, "<")
	id, _, ok := strings.Cut(rest, ">")
	if !ok {
		return ""
	}
	return strings.Join(strings.Fields(id), "")
}

// digest turns a text into a piece of an object ID.
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:16])
}

// objectID reads an objectid of a search key (RFC 8474 §7).
func (p *parser) objectID() string {
	p.space()
	id := p.astring()
	for _, c := range []byte(id) {
		if !isObjectChar(c) {
			p.fail("Invalid object ID")
		}
	}
	if len(id) > 255 || id == "" {
		p.fail("Invalid object ID")
	}
	return id
}

func isObjectChar(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '_' || c == '-'
}

// emailIDKey reads on after EMAILID.
func emailIDKey(p *parser) key {
	want := p.objectID()
	return key{cost: costIndex, match: func(ctx context.Context, c *candidate) (bool, error) {
		id, err := c.beside.object(ctx, c.view, c.entry.uid)
		return err == nil && id.Email == want, err
	}}
}

// threadIDKey reads on after THREADID.
func threadIDKey(p *parser) key {
	want := p.objectID()
	return key{cost: costHeader, match: func(ctx context.Context, c *candidate) (bool, error) {
		id, err := c.beside.object(ctx, c.view, c.entry.uid)
		if err != nil || id.Thread != "" {
			return err == nil && id.Thread == want, err
		}
		header, err := c.rootHeader(ctx)
		return err == nil && threadID(header, id.Email) == want, err
	}}
}
