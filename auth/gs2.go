package auth

import "strings"

// gs2Header is what SCRAM and OAUTHBEARER messages begin with (RFC 5801 §4).
type gs2Header struct {
	flag    byte   // 'n': the client can't bind to the channel, 'y': it could, 'p': it does
	binding string // the name of the channel binding of 'p'
	authzID string
	text    string // as it was sent
}

// cutGS2 takes the header off a message.
func cutGS2(message string) (h gs2Header, rest string, err error) {
	flag, rest, ok := strings.Cut(message, ",")
	id, rest, ok2 := strings.Cut(rest, ",")
	if !ok || !ok2 {
		return h, "", malformed("no GS2 header")
	}
	name, binds := strings.CutPrefix(flag, "p=")
	switch {
	case binds && name != "" && !strings.ContainsFunc(name, notInBinding):
		h.flag, h.binding = 'p', name
	case flag == "n" || flag == "y":
		h.flag = flag[0]
	default:
		return h, "", malformed("unknown flag of channel binding")
	}
	if id != "" {
		name, ok := strings.CutPrefix(id, "a=")
		if !ok {
			return h, "", malformed("not an authorization identity")
		}
		if h.authzID, err = saslName(name); err != nil {
			return h, "", err
		}
	}
	h.text = message[:len(message)-len(rest)]
	return h, rest, nil
}

func notInBinding(r rune) bool {
	letter := 'a' <= r|0x20 && r|0x20 <= 'z'
	return !letter && (r < '0' || r > '9') && r != '.' && r != '-'
}

// saslName undoes the quoting of a name: ',' is "=2C" and '=' is "=3D".
func saslName(text string) (string, error) {
	if text == "" || strings.IndexByte(text, 0) >= 0 {
		return "", malformed("an empty name, or one with NUL")
	}
	rest, quoted := text, false
	for {
		var found bool
		if _, rest, found = strings.Cut(rest, "="); !found {
			break
		}
		quoted = true
		if !strings.HasPrefix(rest, "2C") && !strings.HasPrefix(rest, "3D") {
			return "", malformed("wrong quoting in a name")
		}
	}
	if quoted {
		text = strings.NewReplacer("=2C", ",", "=3D", "=").Replace(text)
	}
	return text, nil
}
