package auth

import "strings"

// The messages of RFC 5802 §7. Optional extensions may follow the nonces, and
// are ignored; a mandatory one ("m=") is refused, since none is known.

// parseClientFirst reads client-first-message-bare.
func parseClientFirst(message string) (user, nonce string, err error) {
	parts := strings.Split(message, ",")
	if !cleanName(message) || len(parts) < 2 || !extensions(parts[2:]) {
		return "", "", malformed("not a first message of SCRAM")
	}
	user, named := strings.CutPrefix(parts[0], "n=")
	nonce, given := strings.CutPrefix(parts[1], "r=")
	if !named || !given || !isNonce(nonce) {
		return "", "", malformed("not a first message of SCRAM")
	}
	user, err = saslName(user)
	return user, nonce, err
}

// clientFinal is client-final-message.
type clientFinal struct {
	binding      []byte // the GS2 header and the data of the channel binding
	nonce        string
	proof        []byte
	withoutProof string
}

func parseClientFinal(message string) (f clientFinal, err error) {
	wrong := malformed("not a last message of SCRAM")
	parts := strings.Split(message, ",")
	last := len(parts) - 1
	if !cleanName(message) || last < 2 || !extensions(parts[2:last]) {
		return f, wrong
	}
	bound, bindings := strings.CutPrefix(parts[0], "c=")
	nonce, given := strings.CutPrefix(parts[1], "r=")
	proof, proved := strings.CutPrefix(parts[last], "p=")
	if !bindings || !given || !proved {
		return f, wrong
	}
	f.nonce = nonce
	f.withoutProof = message[:len(message)-len(parts[last])-1]
	if f.binding, err = decode64(bound); err != nil {
		return f, wrong
	}
	if f.proof, err = decode64(proof); err != nil {
		return f, wrong
	}
	return f, nil
}

// extensions reports whether all these are attributes that may be ignored: of
// a letter that RFC 5802 gives no meaning.
func extensions(parts []string) bool {
	for _, p := range parts {
		if len(p) < 3 || p[1] != '=' || notInBinding(rune(p[0])) || strings.IndexByte("0123456789.-amnrcsipve", p[0]) >= 0 {
			return false
		}
	}
	return true
}

// isNonce reports whether text is a client's half of a nonce: printing ASCII,
// without comma.
func isNonce(text string) bool {
	for _, c := range []byte(text) {
		if c <= ' ' || c > '~' || c == ',' {
			return false
		}
	}
	return text != "" && len(text) <= maxWord
}
