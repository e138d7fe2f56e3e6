package mail

import (
	"errors"
	"fmt"
	"strings"

	smtp "github.com/emersion/go-smtp"
)

// Reply is an answer that a client may see, and an error. Code, Enhanced and
// Text are public; Reason is private and belongs in the log only. A Reply
// with a 2xx code reports success with a text of its own.
type Reply struct {
	Code     int               // RFC 5321 §4.2
	Enhanced smtp.EnhancedCode // RFC 3463; the zero value is derived from Code
	Text     string            // one line of printable ASCII, see PublicText
	Reason   error             // nil when there is nothing more to say
}

// Generic answers for what was not foreseen. Wrap the cause with Because.
var (
	ErrTemporary = &Reply{Code: 451, Enhanced: smtp.EnhancedCode{4, 3, 0}, Text: "Temporary failure, please try again later"}
	ErrStorage   = &Reply{Code: 452, Enhanced: smtp.EnhancedCode{4, 3, 1}, Text: "Insufficient system storage"}
)

// Errorf builds a Reply whose public text is formatted from the arguments.
func Errorf(code int, enhanced smtp.EnhancedCode, format string, args ...any) *Reply {
	return &Reply{Code: code, Enhanced: enhanced, Text: fmt.Sprintf(format, args...)}
}

// Because returns a copy of r whose private reason is err.
func (r *Reply) Because(err error) *Reply {
	c := *r
	c.Reason = err
	return &c
}

// Error returns the reply with its private reason. It is for logs: a client
// gets Code, EnhancedCode and PublicText.
func (r *Reply) Error() string {
	e := r.EnhancedCode()
	s := fmt.Sprintf("%d %d.%d.%d %s", r.Code, e[0], e[1], e[2], r.PublicText())
	if r.Reason != nil {
		s += " (" + r.Reason.Error() + ")"
	}
	return s
}

// Unwrap returns the private reason.
func (r *Reply) Unwrap() error { return r.Reason }

// Is reports whether target is a Reply with the same code and enhanced code,
// so that errors.Is(err, mail.ErrTemporary) holds whatever the reason is.
func (r *Reply) Is(target error) bool {
	t, ok := target.(*Reply)
	return ok && t.Code == r.Code && t.EnhancedCode() == r.EnhancedCode()
}

// Temporary reports whether the same request may succeed later (4xx).
func (r *Reply) Temporary() bool { return r.Code/100 == 4 }

// EnhancedCode returns Enhanced, or X.0.0 of the reply's class when it is zero.
func (r *Reply) EnhancedCode() smtp.EnhancedCode {
	if r.Enhanced == (smtp.EnhancedCode{}) || r.Enhanced == smtp.NoEnhancedCode {
		return smtp.EnhancedCode{r.Code / 100, 0, 0}
	}
	return r.Enhanced
}

// maxText keeps a reply line within 512 octets (RFC 5321 §4.5.3.1.5), its
// codes and line end included.
const maxText = 490

// PublicText returns Text as it may go on the wire: one line of printable
// ASCII (RFC 5321 §4.2 "textstring") of 490 octets at the most. A question
// mark stands for every other character.
func (r *Reply) PublicText() string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '?'
		}
		return c
	}, r.Text[:min(len(r.Text), maxText)])
}

// AsReply finds the Reply in err's chain, or makes one of an smtp.SMTPError
// that refuses. Any other error becomes ErrTemporary with err as its private
// reason; nil stays nil.
func AsReply(err error) *Reply {
	if err == nil {
		return nil
	}
	if r, ok := errors.AsType[*Reply](err); ok {
		return r
	}
	if e, ok := errors.AsType[*smtp.SMTPError](err); ok && e.Code >= 400 && e.Code <= 599 {
		return &Reply{Code: e.Code, Enhanced: e.EnhancedCode, Text: e.Message}
	}
	return ErrTemporary.Because(err)
}
