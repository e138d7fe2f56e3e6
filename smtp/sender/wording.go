package sender

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	smtp "github.com/emersion/go-smtp"

	"github.com/posthouse-mail/posthouse/mail"
)

// wording is how an envelope is put to a host with its extensions.
type wording struct {
	mail    string // the MAIL command
	utf8    bool   // SMTPUTF8 is spoken
	dsn     bool   // DSN is understood
	exact   bool   // nothing may be left out
	chunked bool   // the content travels by BDAT: it is binary
}

// Refusals of what the next hop can't carry.
var (
	tooLarge     = &mail.Reply{Code: 552, Enhanced: smtp.EnhancedCode{5, 3, 4}, Text: "The message is larger than the mail host accepts"}
	utf8Sender   = &mail.Reply{Code: 550, Enhanced: smtp.EnhancedCode{5, 6, 7}, Text: "The mail host can't take the internationalized sender address"}
	utf8To       = &mail.Reply{Code: 553, Enhanced: smtp.EnhancedCode{5, 6, 7}, Text: "The mail host can't take the internationalized address"}
	utf8Header   = &mail.Reply{Code: 554, Enhanced: smtp.EnhancedCode{5, 6, 9}, Text: "The mail host can't take internationalized header fields"}
	binary       = &mail.Reply{Code: 554, Enhanced: smtp.EnhancedCode{5, 6, 3}, Text: "The mail host can't take binary content"}
	eightBit     = &mail.Reply{Code: 554, Enhanced: smtp.EnhancedCode{5, 6, 3}, Text: "The mail host can't take content of 8 bits"}
	noReports    = &mail.Reply{Code: 550, Enhanced: smtp.EnhancedCode{5, 3, 3}, Text: "The mail host can't report a delivery"}
	noRequireTLS = &mail.Reply{Code: 550, Enhanced: smtp.EnhancedCode{5, 7, 30}, Text: "The mail host does not promise REQUIRETLS"}
)

// wording chooses the words for this session, or says why there are none.
func (t *transaction) wording() (w wording, refusal *mail.Reply) {
	env, size := t.job.Envelope, t.job.Body.Size()
	if limit, ok := t.session.MaxMessageSize(); ok && limit > 0 && size > int64(limit) {
		return w, tooLarge
	}
	w.exact = t.job.Terms&Exact != 0
	if refusal := t.checkContent(&w); refusal != nil {
		return w, refusal
	}
	if env.Options.RequireTLS && !t.has("REQUIRETLS") {
		return w, noRequireTLS
	}
	needs := env.Options.UTF8 || env.From.NeedsUTF8() ||
		slices.ContainsFunc(env.Recipients, func(r mail.Recipient) bool { return r.To.NeedsUTF8() })
	w.utf8 = needs && t.has("SMTPUTF8")
	if env.Options.UTF8 && !w.utf8 && hasUTF8Header(t.job.Body) {
		return w, utf8Header
	}
	from, ok := w.spell(env.From)
	if !ok {
		return w, utf8Sender
	}
	w.dsn = t.has("DSN")
	w.mail = "MAIL FROM:<" + from + ">" + t.parameters(w)
	return w, nil
}

// checkContent says whether the host takes the content, and how.
func (t *transaction) checkContent(w *wording) (refusal *mail.Reply) {
	if t.job.Envelope.Options.Body == smtp.BodyBinaryMIME && !isText(t.job.Body) {
		if w.chunked = t.has("BINARYMIME") && t.has("CHUNKING"); !w.chunked {
			return binary
		}
		return nil
	}
	if w.exact && !t.has("8BITMIME") && !is7Bit(t.job.Body) {
		return eightBit
	}
	return nil
}

// parameters are those of MAIL, each only where the host knows it. Those that
// can't be written are left out.
func (t *transaction) parameters(w wording) (s string) {
	o := t.job.Envelope.Options
	if t.has("SIZE") {
		s += " SIZE=" + strconv.FormatInt(t.job.Body.Size(), 10)
	}
	switch {
	case w.chunked:
		s += " BODY=BINARYMIME"
	case t.has("8BITMIME"):
		s += " BODY=8BITMIME"
	}
	if w.utf8 {
		s += " SMTPUTF8"
	}
	if o.RequireTLS {
		s += " REQUIRETLS"
	}
	if w.dsn && (o.Return == smtp.DSNReturnFull || o.Return == smtp.DSNReturnHeaders) {
		s += " RET=" + string(o.Return)
	}
	if w.dsn && o.EnvelopeID != "" && isPrintable(o.EnvelopeID) {
		s += " ENVID=" + Xtext(o.EnvelopeID)
	}
	return s
}

// recipient is the RCPT command for one recipient. Parameters of other
// extensions than DSN are left out: they would be promises of ours.
func (w wording) recipient(r mail.Recipient) (rcpt string, refusal *mail.Reply) {
	to, ok := w.spell(r.To)
	if !ok {
		return "", utf8To
	}
	rcpt = "RCPT TO:<" + to + ">"
	if w.exact && !w.dsn && slices.Contains(r.Options.Notify, smtp.DSNNotifySuccess) {
		return "", noReports
	}
	if !w.dsn {
		return rcpt, nil
	}
	o := r.Options
	if len(o.Notify) > 0 && validNotify(o.Notify) {
		rcpt += " NOTIFY="
		for i, n := range o.Notify {
			if i > 0 {
				rcpt += ","
			}
			rcpt += string(n)
		}
	}
	switch original := o.OriginalRecipient; {
	case original == "":
	case o.OriginalRecipientType == smtp.DSNAddressTypeRFC822 && isPrintable(original):
		rcpt += " ORCPT=rfc822;" + Xtext(original)
	case o.OriginalRecipientType == smtp.DSNAddressTypeUTF8 && utf8.ValidString(original):
		rcpt += " ORCPT=utf-8;" + w.unitext(original)
	}
	return rcpt, nil
}

// Xtext encodes the value of a parameter (RFC 3461 §4): what stands in it is
// printable ASCII without spaces afterwards.
func Xtext(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' || c == '+' || c == '=' {
			fmt.Fprintf(&b, "+%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// unitext encodes an internationalized address (RFC 6533 §3): as UTF-8 where
// that is spoken, in ASCII otherwise.
func (w wording) unitext(s string) string {
	var b strings.Builder
	for _, c := range s {
		if c <= ' ' || c == 0x7f || c == '+' || c == '=' || c == '\\' || c > '~' && !(w.utf8 && unicode.IsPrint(c)) {
			fmt.Fprintf(&b, `\x{%02X}`, c)
		} else {
			b.WriteRune(c)
		}
	}
	return b.String()
}

// spell writes an address for this host; ok is false when it can't be written.
func (w wording) spell(a mail.Address) (s string, ok bool) {
	if w.utf8 {
		return a.String(), true
	}
	a, err := a.ASCII()
	return a.String(), err == nil
}

func (t *transaction) has(extension string) bool {
	ok, _ := t.session.Extension(extension)
	return ok
}

func validNotify(n []smtp.DSNNotify) bool {
	seen := make(map[smtp.DSNNotify]bool, len(n))
	for _, v := range n {
		switch v {
		case smtp.DSNNotifyNever, smtp.DSNNotifyDelayed, smtp.DSNNotifyFailure, smtp.DSNNotifySuccess:
		default:
			return false
		}
		if seen[v] {
			return false
		}
		seen[v] = true
	}
	return !seen[smtp.DSNNotifyNever] || len(n) == 1
}

func isPrintable(s string) bool {
	return !slices.ContainsFunc([]byte(s), func(c byte) bool { return c < ' ' || c > '~' })
}
