package mail

import (
	smtp "github.com/emersion/go-smtp"
)

// Envelope is what SMTP says about a message beside its content: who sent
// it, who shall get it, and under which options (RFC 5321 §2.3.1).
type Envelope struct {
	From       Address          // the zero Address is the null reverse-path
	Options    smtp.MailOptions // parameters of MAIL; the zero value means none were given
	Recipients []Recipient
}

// Recipient is one forward-path with its parameters (RFC 3461 §4.1, §4.2).
type Recipient struct {
	To      Address
	Options smtp.RcptOptions // NOTIFY and ORCPT; the zero value means none were given
}
