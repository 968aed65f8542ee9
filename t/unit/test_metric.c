#include "domain/metric.h"
#include "tap.h"

int
main(void)
{
	static const struct {
		const char *name, *key;
	} cases[] = {
		{"one", "message.text.one.sum"},
		{"na\xc3\xafve \xe2\x80\x9cset\xe2\x80\x9d", "message.text.na\xc3\xafve_set.sum"},
		{"", "message.text..sum"},
		{"\xe2\x98\x83", "message.text..sum"},
		{"12", "message.text.12.sum"},
		{"whatsapp_momconnect.mother", "message.text.whatsapp_momconnect_mother.sum"},
		{"_a__b - c_", "message.text.a__b_c.sum"},
		{"a _b", "message.text.a__b.sum"},
		{"\xd8\xb3\xd9\x84\xd8\xa7\xd9\x85 \xe6\x97\xa5", "message.text.\xd8\xb3\xd9\x84\xd8\xa7\xd9\x85_\xe6\x97\xa5.sum"},
	};
	struct buf key;

	buf_init(&key, METRIC_KEY_MAX);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buf_reset(&key);
		metric_put_set_key(&key, "text", cases[i].name);
		is_str(buf_text(&key), cases[i].key, cases[i].name);
	}
	buf_reset(&key);
	metric_put_type_key(&key, "audio");
	is_str(buf_text(&key), "message.audio.sum", "of a type");
	buf_fini(&key);
	return tap_done();
}
