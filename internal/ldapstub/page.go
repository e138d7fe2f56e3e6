package ldapstub

import (
	"strconv"

	ber "github.com/go-asn1-ber/asn1-ber"
)

// paged is the control for answers in pages (RFC 2696).
const paged = "1.2.840.113556.1.4.319"

// parsePage reads the control of a request.
func (q *query) parsePage(p *ber.Packet) {
	if len(p.Children) < 3 {
		return
	}
	for _, control := range p.Children[2].Children {
		n := len(control.Children)
		if oid, _ := control.Children[0].Value.(string); oid != paged || n < 2 {
			continue
		}
		value := ber.DecodePacket(control.Children[n-1].ByteValue)
		if value == nil || len(value.Children) < 2 {
			continue
		}
		size, _ := value.Children[0].Value.(int64)
		cookie, _ := value.Children[1].Value.(string)
		q.pageSize = int(size)
		q.cookie, _ = strconv.Atoi(cookie)
	}
}

// page cuts a page out of an answer, and returns the control that goes with
// it. The server's size limit does not hold for pages.
func (q *query) page(all []*ber.Packet) ([]*ber.Packet, *ber.Packet) {
	if q.pageSize == 0 {
		return all, nil
	}
	entries, done := all[:len(all)-1], all[len(all)-1]
	from := min(q.cookie, len(entries))
	to, next := min(from+q.pageSize, len(entries)), ""
	if to < len(entries) {
		next = strconv.Itoa(to)
	}
	value := ber.NewSequence("")
	value.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, len(entries), ""))
	value.AppendChild(text(next))
	control := ber.NewSequence("")
	control.AppendChild(text(paged))
	control.AppendChild(text(string(value.Bytes())))
	controls := ber.Encode(ber.ClassContext, ber.TypeConstructed, 0, nil, "")
	controls.AppendChild(control)
	return append(entries[from:to:to], done), controls
}
