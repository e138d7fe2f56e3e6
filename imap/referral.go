package imap

import (
	"strings"

	"github.com/posthouse-mail/posthouse/mapping"
)

// referral is the answer of a back end that knows where else the user is
// (RFC 2221).
type referral struct{ to mapping.Route }

func (r *referral) Error() string { return "back end refers to " + r.to.String() }

// referralIn reads the response code REFERRAL with an IMAP URL of a server:
//
//	REFERRAL imap://[user[;AUTH=x]@]host[:port][/…]
func referralIn(code string) (to mapping.Route, ok bool) {
	text, ok := cutPrefixFold(code, "REFERRAL ")
	if !ok {
		return to, false
	}
	if text, ok = cutPrefixFold(text, "imap://"); !ok {
		return to, false
	}
	text, _, _ = strings.Cut(text, "/")
	user, host, err := cutUser(text)
	if err != nil || strings.Contains(host, ",") { // options of a route are not the back end's to set
		return to, false
	}
	if to, err = mapping.ParseRoute(host); err != nil {
		return to, false
	}
	to.User = user
	return to, to.Check() == nil
}
