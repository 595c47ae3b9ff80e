package secret_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"attendee-relay/internal/secret"
)

func TestStringNeverShowsItsText(t *testing.T) {
	t.Parallel()
	const text = "hunter2"
	value := secret.New(text)
	holder := struct{ Token secret.String }{value}

	shown := []string{
		fmt.Sprint(value), fmt.Sprintf("%s %v %+v %#v %q %x %d", value, value, value, value, value, value, value),
		fmt.Sprintf("%v %+v %#v", holder, holder, &holder), fmt.Errorf("opening %v: refused", value).Error(),
	}
	encoded, err := json.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zapcore.DebugLevel)
	zap.New(core).Info("x", zap.Any("v", value), zap.Stringer("s", value), zap.Reflect("h", holder))
	shown = append(shown, string(encoded), fmt.Sprint(logs.All()[0].ContextMap()))

	for _, s := range shown {
		if strings.Contains(s, text) || strings.Contains(s, fmt.Sprintf("%x", text)) {
			t.Errorf("the secret shows in %q", s)
		}
	}
	if value.Reveal() != text {
		t.Errorf("Reveal() = %q", value.Reveal())
	}
}
