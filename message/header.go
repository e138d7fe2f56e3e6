package message

import "bytes"

// fieldID tells apart the header fields that the index holds.
type fieldID uint8

const (
	otherField fieldID = iota
	contentType
	contentTransferEncoding
	contentID
	contentDescription
	contentMD5
	contentLocation
	contentDisposition
	contentLanguage
	firstEnvelopeField
	dateField = iota - 1
	subjectField
	fromField
	senderField
	replyToField
	toField
	ccField
	bccField
	inReplyToField
	messageIDField
)

// maxName bounds the line's start that is searched for the colon.
const maxName = 128

// header gathers the fields of one header block.
type header struct {
	left  int // octets of the block that are still looked at
	id    fieldID
	seen  uint32 // the fields that were there, a bit each
	value []byte // what follows the colon of the field that is being read
}

func (h *header) typed() bool { return h.seen&(1<<contentType) != 0 }

func (p *parser) beginHeader() {
	h := &p.head
	h.left = min(p.limits.Header, p.octets)
	p.octets -= h.left // what is not used is given back
	h.id, h.seen, h.value = otherField, 0, h.value[:0]
}

func (p *parser) endHeader() {
	p.endField()
	p.octets += p.head.left
}

// headerLine takes a piece of a header. An empty line ends the header.
func (p *parser) headerLine() {
	l, h := &p.lines, &p.head
	data := l.data
	if l.first && len(data) == l.eol {
		p.settle(l.end())
		return
	}
	if l.first && data[0] != ' ' && data[0] != '\t' {
		p.endField()
		h.id = otherField
		if h.left > 0 {
			h.beginField(data[:min(len(data), h.left)])
		}
	} else if h.id != otherField {
		h.value = append(h.value, data[:min(len(data), h.left)]...)
	}
	h.left -= min(len(data), h.left)
}

// beginField looks at the first line of a field. The first field of each name
// counts.
func (h *header) beginField(line []byte) {
	name, ok := fieldName(line)
	if !ok {
		return
	}
	id := fieldOf(line[:name])
	if id == otherField || h.seen&(1<<id) != 0 {
		return
	}
	h.seen |= 1 << id
	h.id = id
	colon := name + bytes.IndexByte(line[name:], ':')
	h.value = append(h.value[:0], line[colon+1:]...)
}

// fieldName returns the length of the field name that line begins with. White
// space between the name and the colon is allowed (RFC 5322 §4.5.8).
func fieldName(line []byte) (n int, ok bool) {
	line = line[:min(len(line), maxName)]
	for n < len(line) && line[n] > ' ' && line[n] < 0x7f && line[n] != ':' {
		n++
	}
	i := n
	for i < len(line) && (line[i] == ' ' || line[i] == '\t') {
		i++
	}
	return n, n > 0 && i < len(line) && line[i] == ':'
}

// fieldOf knows a field by its name in any letter case.
func fieldOf(name []byte) fieldID {
	var lower [len("content-transfer-encoding")]byte
	if len(name) > len(lower) {
		return otherField
	}
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower[i] = c
	}
	switch string(lower[:len(name)]) {
	case "content-type":
		return contentType
	case "content-transfer-encoding":
		return contentTransferEncoding
	case "content-id":
		return contentID
	case "content-description":
		return contentDescription
	case "content-md5":
		return contentMD5
	case "content-location":
		return contentLocation
	case "content-disposition":
		return contentDisposition
	case "content-language":
		return contentLanguage
	}
	return envelopeFieldOf(string(lower[:len(name)]))
}

func envelopeFieldOf(name string) fieldID {
	switch name {
	case "date":
		return dateField
	case "subject":
		return subjectField
	case "from":
		return fromField
	case "sender":
		return senderField
	case "reply-to":
		return replyToField
	case "to":
		return toField
	case "cc":
		return ccField
	case "bcc":
		return bccField
	case "in-reply-to":
		return inReplyToField
	case "message-id":
		return messageIDField
	}
	return otherField
}

// endField puts the field that was being read into the part.
func (p *parser) endField() {
	h := &p.head
	if h.id == otherField {
		return
	}
	part := p.open[len(p.open)-1].part
	value := unfold(h.value)
	if h.id < firstEnvelopeField {
		p.setPartField(part, value)
	} else if part.Envelope != nil {
		p.setEnvelopeField(part.Envelope, value)
	}
	h.id = otherField
}

func (p *parser) setPartField(part *Part, value []byte) {
	switch p.head.id {
	case contentType:
		part.Type, part.Subtype, part.Params = parseContentType(string(value), p.limits.Params)
	case contentDisposition:
		part.Disposition, part.DispositionParams = parseDisposition(string(value), p.limits.Params)
	case contentTransferEncoding:
		part.Encoding = parseEncoding(value)
	case contentLanguage:
		part.Language = parseLanguages(string(value), p.limits.Params)
	case contentID:
		part.ID = string(value)
	case contentDescription:
		part.Description = string(value)
	case contentMD5:
		part.MD5 = string(value)
	case contentLocation:
		part.Location = string(value)
	}
}

func (p *parser) setEnvelopeField(e *Envelope, value []byte) {
	switch p.head.id {
	case dateField:
		e.Date, e.HasDate = string(value), true
	case subjectField:
		e.Subject, e.HasSubject = string(value), true
	case inReplyToField:
		e.InReplyTo, e.HasInReplyTo = string(value), true
	case messageIDField:
		e.MessageID, e.HasID = string(value), true
	case fromField:
		e.From = p.addressList(value)
	case senderField:
		e.Sender = p.addressList(value)
	case replyToField:
		e.ReplyTo = p.addressList(value)
	case toField:
		e.To = p.addressList(value)
	case ccField:
		e.Cc = p.addressList(value)
	case bccField:
		e.Bcc = p.addressList(value)
	}
}

func (p *parser) addressList(value []byte) []Address {
	list := p.address.parse(string(value), min(p.limits.Address, p.addresses))
	p.addresses -= len(list)
	return list
}
