// Package message knows the shape of a message: where its header fields and
// parts begin and end, what ENVELOPE and BODYSTRUCTURE say about it, and how
// its content is kept while it travels through a server.
//
// Invariants of this package:
//
//   - Every stored message has an index. Parse fails only when reading fails,
//     never because of what the message holds.
//   - Parsing takes linear time, bounded depth and bounded memory ([Limits]);
//     what lies beyond a limit is part of the enclosing leaf, not lost.
//   - Offsets in an index are octets from the start of the message, and the
//     octets they name are served as they were stored.
//   - An index is well formed whatever the message: a multipart has at least
//     one part, a message/rfc822 or message/global part has exactly one, which
//     has an Envelope, and every other part has none. Parts lie inside the
//     content of their parent, in order, without overlap.
//   - No text in an index holds CR, LF or NUL; a space stands for each.
//   - Nobody changes an index once it is made, so it may be shared.
package message

import (
	"io"
	"time"
)

// Body is the content of one message. It can be read many times and from
// several goroutines. Whoever made it closes it; a Body handed to a function
// stays valid until that function returns.
type Body interface {
	io.ReaderAt
	Size() int64 // octets
}

// OpenBody is a Body that its receiver must close.
type OpenBody interface {
	Body
	io.Closer
}

// Limits bound the work of Parse. A zero field means its default.
type Limits struct {
	Depth   int // nesting of multiparts and message/rfc822; default 100, at most 1,000
	Parts   int // parts in the whole message; default 10,000
	Params  int // parameters of one Content-Type or Content-Disposition field; default 100, at most 1,000
	Header  int // octets of one header block that are looked at; default 1 MiB; of all of them together 16 times that
	Address int // addresses of one field; default 10,000; of all fields together 4 times that
}

// Part is a node of a message's part index (RFC 2045, RFC 9051 §7.5.2).
// The root is the message itself. Text values are as they stand in the
// message: unfolded, comments removed, not decoded.
//
// A multipart in which no part begins, because its boundary is missing or
// never comes, has one empty text/plain part at its end. A multipart or
// message beyond a limit, and a message/rfc822 part whose content is encoded
// (base64, quoted-printable, uuencode), is a leaf of type
// application/octet-stream.
type Part struct {
	Offset int64 // where the part's header begins
	Body   int64 // where its content begins, after the empty line
	End    int64 // where its content ends; a delimiter's line break is not content
	Lines  int64 // lines of the content (RFC 9051: "size in text lines"); a last line without a line break counts

	Type, Subtype     string  // lower case; "text", "plain" when absent or unusable; "message", "rfc822" when absent in a multipart/digest
	Params            []Param // of Content-Type, names in lower case, in order, each name once
	ID, Description   string  // Content-ID, Content-Description
	Encoding          string  // Content-Transfer-Encoding, lower case, "7bit" when absent
	MD5, Location     string
	Disposition       string // lower case; empty when absent
	DispositionParams []Param
	Language          []string
	Envelope          *Envelope // of the root and of a message/rfc822 part's inner message; else nil
	Parts             []*Part   // of a multipart: its parts; of message/rfc822: one, the inner message; else nil
}

// Param is one parameter of a structured field. RFC 2231 continuations are
// joined and percent-decoded; Value is then in UTF-8 when the charset is known.
type Param struct{ Name, Value string }

// Envelope holds the fields of IMAP's ENVELOPE (RFC 9051 §7.5.2): raw,
// unfolded text of the first field of each name. Nil slices and empty
// strings stand for absent fields; HasDate and its like tell an empty field
// from none.
type Envelope struct {
	Date, Subject, InReplyTo, MessageID      string
	From, Sender, ReplyTo, To, Cc, Bcc       []Address // Sender and ReplyTo are not yet defaulted to From
	HasDate, HasSubject, HasInReplyTo, HasID bool
}

// Address is one address of a header field, in IMAP's four parts: Name is the
// display name as written (encoded words stay), without quotes; a group start
// has Mailbox = group name and no Host; a group end has neither. An address
// that lacks a part has MissingMailbox or MissingHost in its place.
type Address struct{ Name, Mailbox, Host string }

// What stands in an Address for a part that the field does not have: an empty
// Host would make a group of it.
const (
	MissingMailbox = "MISSING_MAILBOX"
	MissingHost    = "MISSING_DOMAIN"
)

// Sent returns the Date field as a time; ok is false when it can't be read
// in any usual form.
func (e *Envelope) Sent() (t time.Time, ok bool) { return ParseDate(e.Date) }
