package smtp

import "github.com/posthouse-mail/posthouse/mail"

// simple answers RSET, NOOP and QUIT (RFC 5321 §4.1.1.5, §4.1.1.9, §4.1.1.10).
func (c *conversation) simple(cmd command) *mail.Reply {
	switch {
	case cmd.verb == "NOOP":
		c.idle()
		return replyOK
	case cmd.arg != "":
		return errNoArgument
	case cmd.verb == "QUIT":
		return replyBye
	}
	c.idle()
	c.reset()
	return replyDropped
}
