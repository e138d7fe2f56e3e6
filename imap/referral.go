package imap

import (
	"strings"

	"github.com/posthouse-mail/posthouse/mapping"
)

// referralIn reads the response code REFERRAL (RFC 2221) with an IMAP URL of a
// server:
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
