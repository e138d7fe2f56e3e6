package auth

// login is the mechanism LOGIN, which has no RFC but is all that some clients
// know (draft-murchison-sasl-login): the server asks for the user, then for
// the password. A client may send the user at once, as the initial response.
type login struct{ asked step }

// step is what LOGIN has asked for.
type step int

const (
	nothing step = iota
	theUser
	thePassword
)

func (l *login) next(e *Exchange, response []byte) (challenge []byte, done bool, err error) {
	switch {
	case l.asked == nothing && response == nil:
		l.asked = theUser
		return []byte("Username:"), false, nil
	case l.asked != thePassword:
		e.creds.User = string(response)
		if !cleanName(e.creds.User) || len(e.creds.User) > maxWord {
			return nil, false, malformed("a name is not text")
		}
		l.asked = thePassword
		return []byte("Password:"), false, nil
	}
	e.creds.AuthzID, e.creds.Password = "", string(response)
	if err := checkWords(&e.creds); err != nil {
		return nil, false, err
	}
	return e.finish()
}
