package message

import (
	"encoding/binary"
	"errors"
	"math"
)

// The encoding of an index: one octet of version, then the root part. Numbers
// are unsigned varints. A part is the set of what it has, its offsets as
// distances (from the end of the part before it, or from where the parent's
// content begins), and then what it has. A text is its length times two and
// its octets, or an index into commonTexts times two and one.

const codecVersion = 1

// maxCodecDepth is what Parse can make: Limits.Depth containers and a leaf.
const maxCodecDepth = 1001

// ErrBadIndex is the kind of every error of DecodePart, and of AppendBinary
// for a Part that Parse did not make and that breaks the package's invariants.
var ErrBadIndex = errors.New("not a part index")

// commonTexts stand in nearly every message. Stored indexes refer to them by
// number: add to their end only.
var commonTexts = [...]string{
	"text", "plain", "html", "multipart", "mixed", "alternative", "related",
	"signed", "report", "application", "octet-stream", "pdf", "image", "png",
	"jpeg", "gif", "message", "rfc822", "delivery-status", "charset", "boundary",
	"name", "filename", "format", "flowed", "delsp", "type", "protocol",
	"micalg", "method", "utf-8", "UTF-8", "us-ascii", "US-ASCII", "iso-8859-1",
	"ISO-8859-1", "windows-1252", "7bit", "8bit", "base64", "quoted-printable",
	"binary", "inline", "attachment", "text/html", "text/plain",
	"multipart/alternative", "size", "creation-date", "modification-date",
	MissingMailbox, MissingHost, "gmail.com", "calendar",
	"REQUEST", "pkcs7-signature", "pgp-signature", "video", "audio", "csv",
	"zip", "report-type", "smime-type", "pgp-encrypted", "disposition-notification",
}

// Bits of what a part has.
const (
	hasParams = 1 << iota
	hasID
	hasDescription
	hasEncoding // other than "7bit"
	hasMD5
	hasLocation
	hasDisposition
	hasDispositionParams
	hasLanguage
	hasEnvelope
	hasParts
)

// Bits of what an envelope has.
const (
	hasDate = 1 << iota
	hasSubject
	hasInReplyTo
	hasMessageID
	hasFrom
	hasSender
	hasReplyTo
	hasTo
	hasCc
	hasBcc
)

// textIndex finds a common text.
var textIndex = func() map[string]uint64 {
	m := make(map[string]uint64, len(commonTexts))
	for i, s := range commonTexts {
		if _, ok := m[s]; !ok {
			m[s] = uint64(i)
		}
	}
	return m
}()

// AppendBinary appends the index to b in a compact encoding for storage: 200
// to 600 octets for most messages. DecodePart reads it, of this version and of
// all later ones.
func (p *Part) AppendBinary(b []byte) ([]byte, error) {
	if p.Envelope == nil || p.Offset != 0 {
		return nil, ErrBadIndex
	}
	return p.append(append(b, codecVersion), span{end: math.MaxInt64}, 1)
}

// span is where a part may lie.
type span struct{ start, end int64 }

func (p *Part) append(b []byte, s span, depth int) ([]byte, error) {
	if depth > maxCodecDepth || p.Offset < s.start || p.Body < p.Offset || p.End < p.Body || p.End > s.end || p.Lines < 0 || !p.wellFormed() {
		return nil, ErrBadIndex
	}
	has := p.has()
	b = binary.AppendUvarint(b, has)
	for _, n := range [...]int64{p.Offset - s.start, p.Body - p.Offset, p.End - p.Body, p.Lines} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	b = appendTexts(b, p.Type, p.Subtype)
	if has&hasParams != 0 {
		b = appendParams(b, p.Params)
	}
	for i, text := range [...]string{p.ID, p.Description, p.Encoding, p.MD5, p.Location, p.Disposition} {
		if has&(hasID<<i) != 0 {
			b = appendTexts(b, text)
		}
	}
	if has&hasDispositionParams != 0 {
		b = appendParams(b, p.DispositionParams)
	}
	if has&hasLanguage != 0 {
		b = binary.AppendUvarint(b, uint64(len(p.Language)))
		b = appendTexts(b, p.Language...)
	}
	if has&hasEnvelope != 0 {
		b = p.Envelope.append(b)
	}
	if has&hasParts == 0 {
		return b, nil
	}
	b = binary.AppendUvarint(b, uint64(len(p.Parts)))
	var err error
	inner := span{p.Body, p.End}
	for _, child := range p.Parts {
		if b, err = child.append(b, inner, depth+1); err != nil {
			return nil, err
		}
		inner.start = child.End
	}
	return b, nil
}

// wellFormed reports whether p has the parts that its type demands.
func (p *Part) wellFormed() bool {
	switch {
	case p.Type == "multipart":
		return len(p.Parts) > 0
	case p.holdsMessage():
		return len(p.Parts) == 1 && p.Parts[0].Envelope != nil
	}
	return len(p.Parts) == 0
}

func (p *Part) has() uint64 {
	return mark(len(p.Params), hasParams) |
		mark(p.ID, hasID) |
		mark(p.Description, hasDescription) |
		mark(p.Encoding != "7bit", hasEncoding) |
		mark(p.MD5, hasMD5) |
		mark(p.Location, hasLocation) |
		mark(p.Disposition, hasDisposition) |
		mark(len(p.DispositionParams), hasDispositionParams) |
		mark(len(p.Language), hasLanguage) |
		mark(p.Envelope, hasEnvelope) |
		mark(len(p.Parts), hasParts)
}

func (e *Envelope) append(b []byte) []byte {
	has := mark(e.HasDate, hasDate) | mark(e.HasSubject, hasSubject) |
		mark(e.HasInReplyTo, hasInReplyTo) | mark(e.HasID, hasMessageID)
	for i, list := range e.lists() {
		has |= mark(len(*list), hasFrom<<i)
	}
	b = binary.AppendUvarint(b, has)
	for i, text := range e.texts() {
		if has&(hasDate<<i) != 0 {
			b = appendTexts(b, *text)
		}
	}
	for i, list := range e.lists() {
		if has&(hasFrom<<i) == 0 {
			continue
		}
		b = binary.AppendUvarint(b, uint64(len(*list)))
		for _, a := range *list {
			b = appendTexts(b, a.Name, a.Mailbox, a.Host)
		}
	}
	return b
}

// texts and lists are in the order of the bits.
func (e *Envelope) texts() [4]*string {
	return [4]*string{&e.Date, &e.Subject, &e.InReplyTo, &e.MessageID}
}

func (e *Envelope) lists() [6]*[]Address {
	return [6]*[]Address{&e.From, &e.Sender, &e.ReplyTo, &e.To, &e.Cc, &e.Bcc}
}

func appendParams(b []byte, params []Param) []byte {
	b = binary.AppendUvarint(b, uint64(len(params)))
	for _, p := range params {
		b = appendTexts(b, p.Name, p.Value)
	}
	return b
}

func appendTexts(b []byte, texts ...string) []byte {
	for _, s := range texts {
		if i, ok := textIndex[s]; ok {
			b = binary.AppendUvarint(b, i<<1|1)
			continue
		}
		b = binary.AppendUvarint(b, uint64(len(s))<<1)
		b = append(b, s...)
	}
	return b
}

// mark returns bit when v is not zero.
func mark[T comparable](v T, bit uint64) uint64 {
	var zero T
	if v == zero {
		return 0
	}
	return bit
}
