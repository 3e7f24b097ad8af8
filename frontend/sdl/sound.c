/* SDL's audio thread pulls from the machine's mixer, 23 ms at a time. */
#include "frontend/sdl/sound.h"

#include <SDL.h>
#include <errno.h>
#include <stdlib.h>
#include "devices/backends/audio.h"

#define FRAMES 1024

struct sound {
	SDL_AudioDeviceID device;
	struct audio *from;
};

static void SDLCALL pull(void *ctx, Uint8 *stream, int bytes)
{
	struct sound *s = ctx;
	audio_pull(s->from, (s16 *)stream, (u32)bytes / 4);
}

struct sound *sound_start(struct machine *m, struct errtext *e)
{
	struct sound *s = calloc(1, sizeof(*s));
	if (!s) {
		err_set(e, -ENOMEM, "no memory for sound");
		return NULL;
	}
	const SDL_AudioSpec want = {.freq = AUDIO_HZ,
				    .format = AUDIO_S16SYS,
				    .channels = 2,
				    .samples = FRAMES,
				    .callback = pull,
				    .userdata = s};
	s->from = machine_audio(m);
	if (!SDL_InitSubSystem(SDL_INIT_AUDIO)) {
		/* asked first, because the libraries below speak up when there is nothing to open */
		if (SDL_GetNumAudioDevices(0) != 0)
			s->device = SDL_OpenAudioDevice(NULL, 0, &want, NULL, 0);
		else
			SDL_SetError("the host has no audio output");
		if (s->device) {
			SDL_PauseAudioDevice(s->device, 0);
			return s;
		}
		SDL_QuitSubSystem(SDL_INIT_AUDIO);
	}
	err_set(e, -ENODEV, "no sound: %s", SDL_GetError());
	free(s);
	return NULL;
}

void sound_stop(struct sound *s)
{
	if (!s)
		return;
	SDL_CloseAudioDevice(s->device);
	SDL_QuitSubSystem(SDL_INIT_AUDIO);
	free(s);
}
