package imap

import (
	"context"
	"encoding/binary"
	"strings"
	"time"

	"github.com/posthouse-mail/posthouse/message"
)

// rowKind says which of a message's header a row holds. What one kind of
// command needs stands together, so that a mailbox that is only searched keeps
// nothing for sorting.
type rowKind uint8

const (
	textRow    rowKind = iota // what SUBJECT, FROM, TO, CC and BCC look into
	headingRow                // what SORT goes by
	lineageRow                // what THREAD=REFERENCES goes by
	rowKinds
)

// rowMakers make the row of a message. None is empty.
var rowMakers = [rowKinds]func(c *candidate, ctx context.Context) (string, error){
	textRow:    (*candidate).makeTexts,
	headingRow: (*candidate).makeHeading,
	lineageRow: (*candidate).makeLineage,
}

// row returns a row of the message, from the cache or from the store.
func (c *candidate) row(ctx context.Context, kind rowKind) (string, error) {
	sheet := c.run.sheet(kind)
	if row := sheet.get(c.entry.uid); row != "" {
		return row, nil
	}
	row, err := rowMakers[kind](c, ctx)
	if err == nil {
		sheet.put(c.entry.uid, row)
	}
	return row, err
}

// textField is a field that text rows hold.
type textField int

const noField textField = -1

// textFields are the fields of text rows, in their order.
var textFields = [...]string{"Subject", "From", "To", "Cc", "Bcc"}

func textFieldOf(name string) (f textField, ok bool) {
	for i, known := range textFields {
		if strings.EqualFold(name, known) {
			return textField(i), true
		}
	}
	return noField, false
}

// makeTexts reads the header. The row says which fields there are, a bit each,
// and then holds for each what all fields of that name hold, one in a line,
// with the letter case removed.
func (c *candidate) makeTexts(ctx context.Context) (string, error) {
	header, err := c.rootHeader(ctx)
	if err != nil {
		return "", err
	}
	var texts [len(textFields)][]byte
	there := byte(0)
	for f := range message.Fields(header) {
		i, ok := textFieldOf(f.Name)
		if !ok {
			continue
		}
		if there&(1<<i) != 0 {
			texts[i] = append(texts[i], '\n')
		}
		there |= 1 << i
		texts[i] = append(texts[i], newNeedle(message.DecodeText(message.Unfold(f.Raw))).folded...)
	}
	b := []byte{there}
	for _, text := range texts {
		b = appendText(b, text)
	}
	return string(b), nil
}

// rowHolds reports whether a field in a text row holds n.
func rowHolds(row string, f textField, n *needle) bool {
	if row[0]&(1<<f) == 0 || strings.Contains(n.text, "\n") {
		return false
	}
	row = row[1:]
	for range f {
		_, row = cutText(row)
	}
	text, _ := cutText(row)
	return strings.Contains(text, n.text)
}

// heading is what SORT knows of a message (RFC 5256 §2.2, §3, RFC 5957).
type heading struct {
	dated        bool
	sent         int64 // the Date field, in seconds since 1970
	zone         int64 // of the Date field, minutes east
	subject      string
	from, to, cc string // addr-mailbox of the first address
	showFrom     string // what clients show of the first address
	showTo       string
}

// day is that of the Date field in its own zone.
func (h *heading) day() day { return dayOf(time.Unix(h.sent+60*h.zone, 0).UTC()) }

func (c *candidate) makeHeading(ctx context.Context) (string, error) {
	if err := c.index(ctx); err != nil {
		return "", err
	}
	e := c.part.Envelope
	if e == nil {
		e = &message.Envelope{}
	}
	var b []byte
	if t, ok := e.Sent(); ok {
		_, zone := t.Zone()
		b = binary.AppendVarint(binary.AppendVarint(append(b, 1), t.Unix()), int64(zone/60))
	} else {
		b = append(b, 0, 0, 0)
	}
	for _, text := range [...]string{
		message.DecodeText(e.Subject), firstMailbox(e.From), firstMailbox(e.To), firstMailbox(e.Cc), shownAddress(e.From), shownAddress(e.To),
	} {
		b = appendText(b, text)
	}
	return string(b), nil
}

// heading returns what SORT knows of the message.
func (c *candidate) heading(ctx context.Context) (h heading, err error) {
	row, err := c.row(ctx, headingRow)
	if err != nil {
		return h, err
	}
	h.dated = row[0] != 0
	h.sent, row = cutSigned(row[1:])
	h.zone, row = cutSigned(row)
	for _, text := range [...]*string{&h.subject, &h.from, &h.to, &h.cc, &h.showFrom, &h.showTo} {
		*text, row = cutText(row)
	}
	return h, nil
}

// firstMailbox is addr-mailbox of the first address (RFC 5256 §3).
func firstMailbox(list []message.Address) string {
	if len(list) == 0 {
		return ""
	}
	return list[0].Mailbox
}

// shownAddress is what clients show of the first address (RFC 5957 §3): its
// name, or else the address, or the name of a group.
func shownAddress(list []message.Address) string {
	if len(list) == 0 {
		return ""
	}
	switch a := list[0]; {
	case a.Name != "":
		return message.DecodeText(a.Name)
	case a.Host == "":
		return message.DecodeText(a.Mailbox)
	default:
		return a.Mailbox + "@" + a.Host
	}
}

func appendText[T ~string | ~[]byte](b []byte, text T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// cutText takes what appendText has appended off the front of a row.
func cutText(row string) (text, rest string) {
	n, row := cutNumber(row)
	return row[:n], row[n:]
}

func cutSigned(row string) (n int64, rest string) {
	u, rest := cutNumber(row)
	return int64(u>>1) ^ -int64(u&1), rest
}

func cutNumber(row string) (n uint64, rest string) {
	for i := 0; ; i++ {
		c := row[i]
		n |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			return n, row[i+1:]
		}
	}
}
