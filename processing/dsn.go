package processing

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"fmt"
	"io"
	"strings"
	"time"

	gomessage "github.com/emersion/go-message"
	smtp "github.com/emersion/go-smtp"

	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/message"
)

// report is a delivery status notification (RFC 3464), with the
// internationalized types of RFC 6533 when the message was international.
type report struct {
	hostname   string
	postmaster mail.Address
	now        time.Time
	id         string
	about      *letter
	fates      []fate // all of one action
	maxReturn  int64
}

// dateLayout is that of RFC 5322 §3.3.
const dateLayout = "Mon, 02 Jan 2006 15:04:05 -0700"

func newReportID() string { return strings.ToLower(rand.Text()[:16]) }

func (r *report) utf8() bool {
	return r.about.envelope.Options.UTF8 || r.about.envelope.From.NeedsUTF8()
}

// trace is the Received field of a report that this system made itself.
func (r *report) trace() []byte {
	return fmt.Appendf(nil, "Received: by %s (Posthouse) id %s;\r\n\t%s\r\n", r.hostname, r.id, r.now.Format(dateLayout))
}

// compose writes the whole report.
func (r *report) compose() ([]byte, error) {
	var b bytes.Buffer
	w, err := gomessage.CreateWriter(&b, r.header())
	if err != nil {
		return nil, err
	}
	for _, part := range []struct {
		kind    string
		content []byte
	}{
		{"text/plain; charset=utf-8", r.text()},
		{r.kind("message/delivery-status", "message/global-delivery-status"), r.status()},
	} {
		if err := addPart(w, part.kind, part.content); err != nil {
			return nil, err
		}
	}
	kind, original, err := r.original()
	if err == nil {
		err = addPart(w, kind, original)
	}
	if err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func (r *report) header() gomessage.Header {
	var h gomessage.Header // Add puts a field before those that are there
	h.SetContentType("multipart/report", map[string]string{"report-type": "delivery-status"})
	h.Add("MIME-Version", "1.0")
	h.Add("Auto-Submitted", "auto-replied") // RFC 3834 §5
	h.Add("Message-ID", "<"+r.id+"@"+r.hostname+">")
	h.Add("Date", r.now.Format(dateLayout))
	h.Add("Subject", r.subject())
	h.Add("To", "<"+r.about.envelope.From.String()+">")
	h.Add("From", "Mail Delivery System <"+r.postmaster.String()+">")
	return h
}

func addPart(w *gomessage.Writer, kind string, content []byte) error {
	var h gomessage.Header
	h.Set("Content-Type", kind)
	h.Set("Content-Transfer-Encoding", encoding(content))
	part, err := w.CreatePart(h)
	if err != nil {
		return err
	}
	if _, err := part.Write(content); err != nil {
		return err
	}
	return part.Close()
}

func encoding(content []byte) string {
	for _, c := range content {
		if c >= 0x80 {
			return "8bit"
		}
	}
	return "7bit"
}

func (r *report) kind(plain, international string) string {
	if r.utf8() {
		return international
	}
	return plain
}

func (r *report) subject() string {
	switch r.fates[0].action {
	case actionFailed:
		return "Undelivered mail returned to sender"
	case actionDelayed:
		return "Delayed mail (still being retried)"
	}
	return "Successful mail delivery report"
}

// text is what a person reads.
func (r *report) text() []byte {
	var b bytes.Buffer
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	line("This is the mail system at %s.", r.hostname)
	line("")
	switch r.fates[0].action {
	case actionFailed:
		line("Your message could not be delivered to the recipients below.")
		line("It will not be tried again.")
	case actionDelayed:
		line("Your message could not be delivered yet to the recipients below.")
		line("It will be tried again until %s.", r.fates[0].until.Format(dateLayout))
		line("You need not send it again.")
	case actionRelayed:
		line("Your message was passed on for the recipients below, to a system that")
		line("sends no reports of its own.")
	default:
		line("Your message was delivered to the recipients below.")
	}
	for _, f := range r.fates {
		line("")
		line("<%s>", f.recipient.To)
		if f.action == actionDelivered {
			continue
		}
		if f.host != "" {
			line("    host %s said:", clean(f.host))
		}
		line("    %s", diagnostic(f.reply))
	}
	return b.Bytes()
}

// status is what a program reads (RFC 3464 §2.2, §2.3).
func (r *report) status() []byte {
	var b bytes.Buffer
	field := func(name, format string, args ...any) { fmt.Fprintf(&b, name+": "+format+"\r\n", args...) }
	if id := r.about.envelope.Options.EnvelopeID; id != "" {
		field("Original-Envelope-Id", "%s", r.spell(clean(id)))
	}
	field("Reporting-MTA", "dns; %s", r.hostname)
	field("Arrival-Date", "%s", r.about.received.Format(dateLayout))
	for _, f := range r.fates {
		b.WriteString("\r\n")
		o := f.recipient.Options
		if t := o.OriginalRecipientType; t == smtp.DSNAddressTypeRFC822 || t == smtp.DSNAddressTypeUTF8 {
			field("Original-Recipient", "%s; %s", strings.ToLower(string(t)), r.spell(clean(o.OriginalRecipient)))
		}
		field("Final-Recipient", "%s; %s", r.addressType(f.recipient.To.String()), r.spell(f.recipient.To.String()))
		field("Action", "%s", f.action)
		code := f.reply.EnhancedCode()
		field("Status", "%d.%d.%d", code[0], code[1], code[2])
		if f.host != "" && !strings.HasPrefix(f.host, "/") {
			field("Remote-MTA", "dns; %s", r.spell(clean(f.host)))
		}
		if f.action == actionFailed || f.action == actionDelayed {
			field("Diagnostic-Code", "smtp; %s", r.spell(diagnostic(f.reply)))
		}
		field("Last-Attempt-Date", "%s", r.now.Format(dateLayout))
		if !f.until.IsZero() {
			field("Will-Retry-Until", "%s", f.until.Format(dateLayout))
		}
	}
	return b.Bytes()
}

func (r *report) addressType(s string) string {
	if r.utf8() && !isASCII(s) {
		return "utf-8"
	}
	return "rfc822"
}

// spell keeps a plain report in ASCII (RFC 3464 §2.1).
func (r *report) spell(s string) string {
	if r.utf8() || isASCII(s) {
		return s
	}
	return strings.Map(func(c rune) rune {
		if c >= 0x80 {
			return '?'
		}
		return c
	}, s)
}

// diagnostic is a reply as it stood on the wire, in one line.
func diagnostic(r *mail.Reply) string {
	text := fmt.Sprintf("%d ", r.Code)
	if r.Enhanced != (smtp.EnhancedCode{}) {
		text += fmt.Sprintf("%d.%d.%d ", r.Enhanced[0], r.Enhanced[1], r.Enhanced[2])
	}
	return text + r.PublicText()
}

// clean makes printable text of what others wrote.
func clean(s string) string { return (&mail.Reply{Text: strings.ToValidUTF8(s, "?")}).PublicText() }

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(c rune) bool { return c >= 0x80 }) < 0
}

// original is what of the message goes back: all of it when it failed, is
// small enough and RET does not want less; its header otherwise (RFC 3461 §4.3).
func (r *report) original() (kind string, content []byte, err error) {
	body := r.about.whole()
	options := r.about.envelope.Options
	if r.fates[0].action == actionFailed && options.Return != smtp.DSNReturnHeaders && body.Size() <= r.maxReturn {
		content, err = io.ReadAll(message.NewReader(body))
		return r.kind("message/rfc822", "message/global"), content, err
	}
	content, err = readHeader(body, max(r.maxReturn, 4<<10))
	return r.kind("text/rfc822-headers", "message/global-headers"), content, err
}

// maxHeader bounds what is looked at to find a field.
const maxHeader = 1 << 20

// readHeader returns the header of a message, at most limit octets of it.
func readHeader(b message.Body, limit int64) ([]byte, error) {
	content := make([]byte, min(b.Size(), limit))
	n, err := b.ReadAt(content, 0)
	if err != nil && err != io.EOF {
		return nil, err
	}
	return headerOf(content[:n]), nil
}

// headerOf cuts the header off the beginning of a message, at a line end.
func headerOf(b []byte) []byte {
	end := len(b)
	for _, empty := range []string{"\r\n\r\n", "\n\n", "\n\r\n"} {
		if i := bytes.Index(b, []byte(empty)); i >= 0 {
			end = min(end, i+len(empty))
		}
	}
	if end == len(b) {
		end = cmp.Or(bytes.LastIndexByte(b, '\n')+1, len(b))
	}
	return b[:end]
}
