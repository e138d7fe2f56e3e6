package smtp

import (
	"strconv"

	smtp "github.com/emersion/go-smtp"

	"github.com/posthouse-mail/posthouse/mail"
)

// Replies that need no words of the moment.
var (
	replyOK      = reply(250, 2, 0, 0, "OK")
	replyBye     = reply(221, 2, 0, 0, "Goodbye")
	replyVrfy    = reply(252, 2, 1, 5, "Not verified; send mail and see")
	replySender  = reply(250, 2, 1, 0, "Sender OK")
	replyRcpt    = reply(250, 2, 1, 5, "Recipient OK")
	replyTLS     = reply(220, 2, 0, 0, "Ready to start TLS")
	replyAuth    = reply(235, 2, 7, 0, "Authentication succeeded")
	replyDropped = reply(250, 2, 0, 0, "Forgotten")

	errSyntax        = reply(500, 5, 5, 2, "Malformed command")
	errUnknown       = reply(500, 5, 5, 1, "Unknown command")
	errNotHere       = reply(502, 5, 5, 1, "Not available here")
	errArgument      = reply(501, 5, 5, 4, "Malformed argument")
	errNoArgument    = reply(501, 5, 5, 4, "No argument allowed")
	errLineEnd       = reply(500, 5, 5, 2, "Lines end with CR LF")
	errLineTooLong   = reply(500, 5, 5, 2, "Line too long")
	errNotSMTP       = reply(554, 5, 5, 1, "This is a mail server")
	errEarly         = reply(554, 5, 5, 1, "Wait for the greeting")
	errStopping      = reply(421, 4, 3, 2, "Going down, please come back later")
	errTimeout       = reply(421, 4, 4, 2, "Timeout, closing the connection")
	errTooManyErrors = reply(421, 4, 7, 0, "Too many errors")
	errNeedsTLS      = reply(530, 5, 7, 0, "Say STARTTLS first")
	errNeedsAuth     = reply(530, 5, 7, 0, "Authentication required")
	errEhloFirst     = reply(503, 5, 5, 1, "Say EHLO first")
	errLhloFirst     = reply(503, 5, 5, 1, "Say LHLO first")

	errNested     = reply(503, 5, 5, 1, "There is a transaction already")
	errMailFirst  = reply(503, 5, 5, 1, "Say MAIL first")
	errRcptFirst  = reply(503, 5, 5, 1, "Say RCPT first")
	errNoRcpt     = reply(554, 5, 5, 1, "No valid recipients")
	errInBdat     = reply(503, 5, 5, 1, "A BDAT message is under way")
	errOvershoot  = reply(452, 4, 5, 3, "Too many recipients, send to the others later")
	errNoRelay    = reply(550, 5, 7, 1, "Relaying is not allowed here")
	errUnknownPar = reply(555, 5, 5, 4, "Unknown parameter")
	errNeedsUTF8  = reply(553, 5, 6, 7, "That address needs SMTPUTF8")
	errSender     = reply(501, 5, 1, 7, "Malformed sender address")
	errRecipient  = reply(501, 5, 1, 3, "Malformed recipient address")

	errTooBig        = reply(552, 5, 3, 4, "Message too big")
	errBareLine      = reply(550, 5, 6, 11, "Message holds a CR or LF that is not part of CR LF")
	errHeaderTooBig  = reply(552, 5, 3, 4, "Header too big")
	errLoop          = reply(554, 5, 4, 6, "Too many Received fields: a mail loop")
	errBinaryData    = reply(503, 5, 5, 1, "BODY=BINARYMIME travels by BDAT")
	errChunkSize     = reply(501, 5, 5, 4, "Malformed chunk size")
	errInTransaction = reply(503, 5, 5, 1, "Not in a transaction")
	errTwice         = reply(503, 5, 5, 1, "Done already")
)

func reply(code, class, subject, detail int, text string) *mail.Reply {
	return &mail.Reply{Code: code, Enhanced: smtp.EnhancedCode{class, subject, detail}, Text: text}
}

// maxReplyText keeps a reply line within 512 octets (RFC 5321 §4.5.3.1.5).
const maxReplyText = 480

// say writes a reply line: with its enhanced code, but for 3xx (RFC 2034 §4).
func (c *conversation) say(r *mail.Reply) {
	var line [512]byte
	b := strconv.AppendInt(line[:0], int64(r.Code), 10)
	if r.Code/100 != 3 {
		e := r.EnhancedCode()
		sep := byte(' ')
		for _, n := range e {
			b = strconv.AppendInt(append(b, sep), int64(n), 10)
			sep = '.'
		}
	}
	b = append(b, ' ')
	b = appendPrintable(b, r.Text, maxReplyText)
	b = append(b, "\r\n"...)
	_, _ = c.wire.Write(b) // an error shows at the next flush
}

// sayLine writes a line as it is.
func (c *conversation) sayLine(line string) {
	_, _ = c.wire.WriteString(line)
	_, _ = c.wire.WriteString("\r\n")
}

// appendPrintable appends at most limit octets of s; what is not printable
// ASCII becomes "?".
func appendPrintable(b []byte, s string, limit int) []byte {
	for _, r := range s {
		if limit--; limit < 0 {
			break
		}
		if r < ' ' || r > '~' {
			r = '?'
		}
		b = append(b, byte(r))
	}
	return b
}

func printable(s string) string { return string(appendPrintable(nil, s, maxReplyText)) }
