package smtp

import "github.com/posthouse-mail/posthouse/mail"

var replyHelp = reply(214, 2, 0, 0, "See RFC 5321; ask postmaster for more")

// inform answers VRFY, EXPN and HELP (RFC 5321 §4.1.1.6 to §4.1.1.8). VRFY
// tells nothing about who exists, EXPN is off (RFC 5321 §7.3).
func (c *conversation) inform(cmd command) *mail.Reply {
	c.idle()
	switch {
	case cmd.verb == "HELP":
		return replyHelp
	case cmd.verb == "EXPN":
		return errNotHere
	case cmd.arg == "":
		return errArgument
	}
	return replyVrfy
}
