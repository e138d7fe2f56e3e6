package local

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"unicode/utf8"

	smtp "github.com/emersion/go-smtp"

	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/queue"
)

// ErrDamaged is the kind of errors about records of the queue that can't be
// read.
var ErrDamaged = errors.New("damaged queue record")

// recordVersion begins every record.
const recordVersion = 1

// maxCode bounds the code of a reply.
const maxCode = 999

// maxReply bounds the texts of a reply that are kept, in octets.
const maxReply = 1000

// envelope is what the recipients of a message share.
type envelope struct {
	from     mail.Address
	options  smtp.MailOptions
	total    uint32 // recipients when it was put
	received int64  // nanoseconds since 1970
	session  string
	prefix   []byte
	size     int64 // of the body, without the prefix
}

// appendTo writes the envelope. That of a message with one recipient is
// followed by its recipient, see recipient.encode.
func (v *envelope) appendTo(b []byte) ([]byte, error) {
	b = append(b, recordVersion)
	b = appendText(b, v.from.String())
	b, err := appendOptions(b, &v.options)
	if err != nil {
		return nil, err
	}
	b = binary.AppendUvarint(b, uint64(v.total))
	b = binary.AppendVarint(b, v.received)
	b = appendText(b, v.session)
	b = appendText(b, v.prefix)
	return binary.AppendUvarint(b, uint64(v.size)), nil
}

// decodeMessage reads an envelope, and the recipient behind it if there is only
// one; it keeps nothing of b.
func decodeMessage(b []byte) (*envelope, *recipient, error) {
	d := decoder{rest: b}
	v := d.envelope()
	var r *recipient
	if v.total == 1 {
		r = d.recipient()
		r.message = v
	}
	return v, r, d.end()
}

func (d *decoder) envelope() *envelope {
	v := new(envelope)
	d.version()
	v.from = d.address()
	d.options(&v.options)
	v.total = uint32(d.upTo(queue.MaxRecipients))
	v.received = d.signed()
	v.session = string(d.bytes())
	v.prefix = append([]byte(nil), d.bytes()...)
	v.size = int64(d.upTo(math.MaxInt64))
	return v
}

// recipient is the record of one recipient.
type recipient struct {
	to          mail.Recipient
	destination string
	due         int64
	state       queue.State
	message     *envelope // of an only recipient, which has no record of its own; else nil
}

// key is where the record of r is.
func (r *recipient) key(n name) []byte {
	if r.message != nil {
		return messageKey(n.id)
	}
	return recipientKey(n.id, n.number)
}

// encode writes the record of r: with the envelope before it when r is the only
// recipient, since one key is cheaper than two.
func (r *recipient) encode() ([]byte, error) {
	b := make([]byte, 0, 128)
	if v := r.message; v != nil {
		var err error
		if b, err = v.appendTo(make([]byte, 0, 192+len(v.prefix))); err != nil {
			return nil, err
		}
	}
	b = append(b, recordVersion)
	b = appendText(b, r.to.To.String())
	b, err := appendOptions(b, &r.to.Options)
	if err != nil {
		return nil, err
	}
	b = appendText(b, r.destination)
	b = binary.AppendUvarint(b, uint64(r.due))
	b = binary.AppendUvarint(b, uint64(r.state.Attempts))
	b = appendFlag(b, r.state.Delayed)
	return appendReply(b, r.state.Last), nil
}

// decodeRecipient reads a recipient; it keeps nothing of b.
func decodeRecipient(b []byte) (*recipient, error) {
	d := decoder{rest: b}
	r := d.recipient()
	return r, d.end()
}

func (d *decoder) recipient() *recipient {
	r := new(recipient)
	d.version()
	r.to.To = d.address()
	d.options(&r.to.Options)
	r.destination = string(d.bytes())
	r.due = int64(d.upTo(math.MaxInt64))
	r.state.Attempts = int(d.upTo(math.MaxInt32))
	r.state.Delayed = d.flag()
	r.state.Last = d.reply()
	return r
}

func appendText[T string | []byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendFlag(b []byte, set bool) []byte {
	if set {
		return append(b, 1)
	}
	return append(b, 0)
}

// appendOptions writes what a pointer to options points to as JSON, and nothing
// for none, which is what most messages have.
func appendOptions(b []byte, options any) ([]byte, error) {
	if reflect.ValueOf(options).Elem().IsZero() {
		return append(b, 0), nil
	}
	text, err := json.Marshal(options)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", queue.ErrBadMessage, err)
	}
	return appendText(b, text), nil
}

func appendReply(b []byte, r *mail.Reply) []byte {
	if r == nil {
		return append(b, 0)
	}
	b = append(b, 1)
	b = binary.AppendUvarint(b, uint64(min(max(r.Code, 0), maxCode)))
	for _, n := range r.Enhanced {
		b = binary.AppendVarint(b, int64(n))
	}
	b = appendText(b, cut(r.Text))
	if r.Reason == nil {
		return append(b, 0)
	}
	return appendText(append(b, 1), cut(r.Reason.Error()))
}

// cut shortens s to what is kept of a reply.
func cut(s string) string {
	if len(s) <= maxReply {
		return s
	}
	n := maxReply
	for n > maxReply-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// decoder reads records. After something that it can't read all of its
// methods return zero values, and end returns the error.
type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) fail() { d.bad, d.rest = true, nil }

func (d *decoder) end() error {
	if d.bad || len(d.rest) > 0 {
		return ErrDamaged
	}
	return nil
}

func (d *decoder) octet() byte {
	if len(d.rest) == 0 {
		d.fail()
		return 0
	}
	c := d.rest[0]
	d.rest = d.rest[1:]
	return c
}

func (d *decoder) version() {
	if d.octet() != recordVersion {
		d.fail()
	}
}

func (d *decoder) flag() bool {
	c := d.octet()
	if c > 1 {
		d.fail()
	}
	return c == 1
}

func (d *decoder) upTo(most uint64) uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 || v > most {
		d.fail()
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) signed() int64 {
	v, n := binary.Varint(d.rest)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) bytes() []byte {
	n := d.upTo(uint64(len(d.rest)))
	if d.bad || n > uint64(len(d.rest)) {
		d.fail()
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) address() mail.Address {
	text := d.bytes()
	if d.bad || len(text) == 0 {
		return mail.Address{}
	}
	a, err := mail.ParseAddress(string(text))
	if err != nil {
		d.fail()
	}
	return a
}

func (d *decoder) options(into any) {
	text := d.bytes()
	if len(text) > 0 && json.Unmarshal(text, into) != nil {
		d.fail()
	}
}

func (d *decoder) reply() *mail.Reply {
	if !d.flag() {
		return nil
	}
	r := &mail.Reply{Code: int(d.upTo(maxCode))}
	for i := range r.Enhanced {
		r.Enhanced[i] = int(d.signed())
	}
	r.Text = string(d.bytes())
	if d.flag() {
		r.Reason = errors.New(string(d.bytes()))
	}
	if d.bad {
		return nil
	}
	return r
}
