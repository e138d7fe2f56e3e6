package sender

import (
	"context"
	"errors"
	"net/textproto"
	"strconv"
	"strings"

	smtp "github.com/emersion/go-smtp"

	"github.com/posthouse-mail/posthouse/mail"
)

// What is said when no host of the route said something better.
var (
	dnsFailed   = &mail.Reply{Code: 451, Enhanced: smtp.EnhancedCode{4, 4, 3}, Text: "The domain name system did not answer"}
	noAnswer    = &mail.Reply{Code: 451, Enhanced: smtp.EnhancedCode{4, 4, 1}, Text: "The mail host did not answer"}
	lost        = &mail.Reply{Code: 451, Enhanced: smtp.EnhancedCode{4, 4, 2}, Text: "The connection was lost"}
	needsTLS    = &mail.Reply{Code: 451, Enhanced: smtp.EnhancedCode{4, 7, 5}, Text: "The mail host offers no trustworthy encryption"}
	loginFailed = &mail.Reply{Code: 451, Enhanced: smtp.EnhancedCode{4, 7, 8}, Text: "The mail host refused our login"}
	stopping    = &mail.Reply{Code: 451, Enhanced: smtp.EnhancedCode{4, 3, 2}, Text: "Sending was interrupted"}
)

func noSuchDomain(name string) *mail.Reply {
	return mail.Errorf(550, smtp.EnhancedCode{5, 1, 2}, "%s can't be found", name)
}

func loops(name string) *mail.Reply {
	return mail.Errorf(554, smtp.EnhancedCode{5, 4, 6}, "Mail for %s loops back to this system", name)
}

// maxText bounds what of a peer's reply is kept.
const maxText = 512

// refused turns what a peer answered instead of a success into a Reply. An
// answer that is neither 4xx nor 5xx makes it temporary.
func refused(e *smtp.SMTPError) *mail.Reply {
	if class := e.Code / 100; class != 4 && class != 5 {
		return mail.Errorf(451, smtp.EnhancedCode{4, 5, 0}, "The mail host answered %d out of turn", e.Code)
	}
	return peerReply(e.Code, e.EnhancedCode, e.Message)
}

// clientError is a reply as the client reports it.
func clientError(e *textproto.Error) *smtp.SMTPError {
	enhanced, text := cutEnhanced(e.Msg)
	return &smtp.SMTPError{Code: e.Code, EnhancedCode: enhanced, Message: text}
}

// accepted builds the Reply of a success from the text behind its code.
func accepted(text string) *mail.Reply {
	enhanced, text := cutEnhanced(text)
	return peerReply(250, enhanced, text)
}

// cutEnhanced cuts an enhanced code off the front of a reply's text, and off
// its other lines too (RFC 2034 §4).
func cutEnhanced(text string) (smtp.EnhancedCode, string) {
	first, rest, _ := strings.Cut(text, " ")
	enhanced, ok := parseEnhanced(first)
	if !ok {
		return enhanced, text
	}
	return enhanced, strings.ReplaceAll(rest, "\n"+first+" ", "\n")
}

// peerReply makes one printable line of what a peer said.
func peerReply(code int, enhanced smtp.EnhancedCode, text string) *mail.Reply {
	if enhanced[0] != code/100 {
		enhanced = smtp.EnhancedCode{}
	}
	text = strings.Join(strings.Fields(text), " ")
	r := &mail.Reply{Code: code, Enhanced: enhanced, Text: strings.ToValidUTF8(text[:min(len(text), maxText)], "?")}
	r.Text = r.PublicText()
	return r
}

func parseEnhanced(s string) (e smtp.EnhancedCode, ok bool) {
	parts := strings.Split(s, ".")
	if len(parts) != 3 {
		return e, false
	}
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 10)
		if err != nil {
			return smtp.EnhancedCode{}, false
		}
		e[i] = int(n)
	}
	return e, true
}

// answered finds the peer's own answer in an error of the client. The answer
// 421 says that it closes the connection, which is no answer to the command.
func answered(err error) (*mail.Reply, bool) {
	e, ok := errors.AsType[*smtp.SMTPError](err)
	if !ok || e.Code == 421 || e.Code/100 != 4 && e.Code/100 != 5 {
		return nil, false
	}
	return refused(e), true
}

// replyTo is the Reply for an error of a connection: the peer's answer, a
// Reply made here, or otherwise as lost.
func replyTo(ctx context.Context, err error, otherwise *mail.Reply) *mail.Reply {
	if r, ok := errors.AsType[*mail.Reply](err); ok {
		return r
	}
	if e, ok := errors.AsType[*smtp.SMTPError](err); ok {
		return refused(e)
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return stopping.Because(err)
	}
	return otherwise.Because(err)
}
