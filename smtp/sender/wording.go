package sender

import (
	"slices"

	smtp "github.com/emersion/go-smtp"

	"github.com/posthouse-mail/posthouse/mail"
)

// wording is how an envelope is put to a host with its extensions.
type wording struct {
	from    string
	options smtp.MailOptions
	utf8    bool // SMTPUTF8 is spoken
}

// Refusals of what the next hop can't carry.
var (
	tooLarge     = &mail.Reply{Code: 552, Enhanced: smtp.EnhancedCode{5, 3, 4}, Text: "The message is larger than the mail host accepts"}
	utf8Sender   = &mail.Reply{Code: 550, Enhanced: smtp.EnhancedCode{5, 6, 7}, Text: "The mail host can't take the internationalized sender address"}
	utf8To       = &mail.Reply{Code: 553, Enhanced: smtp.EnhancedCode{5, 6, 7}, Text: "The mail host can't take the internationalized address"}
	utf8Header   = &mail.Reply{Code: 554, Enhanced: smtp.EnhancedCode{5, 6, 9}, Text: "The mail host can't take internationalized header fields"}
	binary       = &mail.Reply{Code: 554, Enhanced: smtp.EnhancedCode{5, 6, 3}, Text: "The mail host can't take binary content"}
	noRequireTLS = &mail.Reply{Code: 550, Enhanced: smtp.EnhancedCode{5, 7, 30}, Text: "The mail host does not promise REQUIRETLS"}
)

// wording chooses the words for this session, or says why there are none.
func (t *transaction) wording() (w wording, refusal *mail.Reply) {
	env, size := t.job.Envelope, t.job.Body.Size()
	if limit, ok := t.session.MaxMessageSize(); ok && limit > 0 && size > int64(limit) {
		return w, tooLarge
	}
	if env.Options.Body == smtp.BodyBinaryMIME && !isText(t.job.Body) {
		return w, binary
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
	w.from = from
	w.options = smtp.MailOptions{Size: size, UTF8: w.utf8, RequireTLS: env.Options.RequireTLS}
	if r := env.Options.Return; r == smtp.DSNReturnFull || r == smtp.DSNReturnHeaders {
		w.options.Return = r
	}
	if isPrintable(env.Options.EnvelopeID) {
		w.options.EnvelopeID = env.Options.EnvelopeID
	}
	return w, nil
}

// recipient is the wording for one recipient. Parameters that can't be
// written are left out; those of extensions that we don't promise too.
func (w wording) recipient(r mail.Recipient) (to string, o smtp.RcptOptions, refusal *mail.Reply) {
	to, ok := w.spell(r.To)
	if !ok {
		return "", o, utf8To
	}
	if validNotify(r.Options.Notify) {
		o.Notify = r.Options.Notify
	}
	switch t := r.Options.OriginalRecipientType; {
	case t == smtp.DSNAddressTypeRFC822 && isPrintable(r.Options.OriginalRecipient),
		t == smtp.DSNAddressTypeUTF8 && !hasControl(r.Options.OriginalRecipient):
		o.OriginalRecipientType, o.OriginalRecipient = t, r.Options.OriginalRecipient
	}
	return to, o, nil
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

func hasControl(s string) bool {
	return slices.ContainsFunc([]byte(s), func(c byte) bool { return c < ' ' || c == 0x7f })
}
