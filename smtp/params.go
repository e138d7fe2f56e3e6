package smtp

import (
	"strings"

	"github.com/posthouse-mail/posthouse/mail"
)

// maxParams bounds the parameters of one command; there are fewer that exist.
const maxParams = 20

// eachParam calls take for each parameter of MAIL or RCPT (RFC 5321 §4.1.2
// "esmtp-param"), its keyword in upper case. A keyword may come once.
func eachParam(s string, take func(keyword, value string) *mail.Reply) *mail.Reply {
	var seen []string
	for s = strings.TrimLeft(s, " "); s != ""; s = strings.TrimLeft(s, " ") {
		var param string
		param, s, _ = strings.Cut(s, " ")
		keyword, value, hasValue := strings.Cut(param, "=")
		keyword = strings.ToUpper(keyword)
		if !isKeyword(keyword) || hasValue && value == "" || len(seen) == maxParams {
			return errArgument
		}
		for _, k := range seen {
			if k == keyword {
				return errArgument
			}
		}
		seen = append(seen, keyword)
		if r := take(keyword, value); r != nil {
			return r
		}
	}
	return nil
}

func isKeyword(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isAlnum(s[i]) && (s[i] != '-' || i == 0) {
			return false
		}
	}
	return s != ""
}
