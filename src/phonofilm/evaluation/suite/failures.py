"""Where each metric is known to fail: shown in docs/metrics.md and in results.json."""

from __future__ import annotations

FAILURES: dict[str, str] = {
    "offset": (
        "Known for sounds that are seen to be made, in Foley World for bounces, strikes, explosions and drops, for "
        "most talk, for half of what passes by; hardly ever for film under music. A sound of another place and time "
        "may still fit: see the control's share of known clips."
    ),
    "in sync": "A share: coarse for few clips. Of clips with sound it knows only those whose offset is known.",
    "drift": "Needs events through the whole clip that are seen and heard; else it is not known.",
    "PEAVS[phonofilm]": "Knows offset and drift only: sound that never belonged to the picture may pass.",
    "onset–motion F1": "Things that move without sound count against it; so do sounds off screen.",
    "AV-Align[phonofilm-flow]": "Blind under one pixel of camera jitter; ±1 frame is 40 ms at 25 fps.",
    "AV-Align[phonofilm-flow, javisbench]": "As above; flow noise makes peaks, which lowers it.",
    "lip offset[face-mesh]": "Small or turned faces; r = .29 between mouth and voice even in real speech.",
    "DeSync": (
        "A bad floor: real film scores .55 to .63, worse than some models; models conditioned on Synchformer are "
        "judged by their teacher."
    ),
    "DeSync[phonofilm-sync]": (
        "Knows Foley World's bounces, strikes and drops; at or near chance on real film, passing things and blasts "
        "(measured below). Looks no further than 1 s; a regular rhythm fits at several offsets."
    ),
    "DeSync[phonofilm-sync, expected]": "As above, and near 0 where it knows nothing: read it beside its control only.",
    "ImageBind AV": "What is heard, not when; its filterbank hears one channel.",
    "AVHScore": (
        "What is heard, not when; every frame is weighed against the whole sound. Every frame passes a ViT-H: for GPUs."
    ),
    "JavisScore": (
        "Windows of 2 s: blind to offsets of less; its worst frames are often those that show nothing that sounds."
    ),
    "PE-AV score": "What is heard, not when; needs timm and torchvision; not comparable with ImageBind's.",
    "pan error": "Frames where only one sounds do not count.",
    "mono": "Says nothing of whether the places are right.",
    "CLIPScore": "Counts nouns, hardly relations, numbers or motion; B/32 and L/14 differ by tenths and in ranking.",
    "overall consistency[clip]": "As CLIPScore; the order of frames does not matter. Not comparable with ViCLIP's.",
    "CLAP score": "Which checkpoint it is can flip a ranking; hears events, hardly their order or number.",
    "temporal flicker": "Punishes motion; meant for static scenes.",
    "dynamic degree[phonofilm-flow]": "Neither more nor less is better; camera motion counts.",
    "flow strength[phonofilm-flow]": "As above.",
    "motion smoothness[dis]": "Noise between frames averages out; published values use AMT and are not comparable.",
    "subject consistency[efficientnet]": "A still picture is perfect.",
    "subject consistency": (
        "A still picture is perfect; the whole picture counts, not the subject alone; more frames a second score "
        "higher."
    ),
    "background consistency": (
        "A still picture is perfect; the whole picture counts, not the background alone; more frames a second "
        "score higher."
    ),
    "aesthetic quality": "Taste of one group of raters of still pictures; says nothing of motion.",
    "imaging quality[brisque]": "Learnt from distorted photographs: drawings and flat pictures score oddly.",
    "IS[efficientnet]": (
        "At most the number of classes seen: few clips score low; says nothing of whether the classes are right."
    ),
    "clips with sound": "A hum counts as sound.",
    "frozen frames": "A still scene counts as frozen: read it beside the reference.",
    "dropped frames": "Animation on twos has every other frame twice and counts as dropped.",
    "blur": "A soft drawing is blurred too: read it beside the reference.",
    "silence": "Quiet is not wrong.",
    "loudness": "Ungated: pauses lower it.",
    "loudness gap": "—",
    "onset accuracy": "Answers to a dense reference come by chance: read it beside its control.",
    "onset AP": "As above.",
    "KL[yamnet]": "What is heard, not when; not comparable with PaSST's or PANNs'.",
    "IS[yamnet]": "At most the number of clips: few clips score low; says nothing of whether the classes are right.",
    "CLAP audio": "What is heard, not when. Not the text–audio CLAP score, though papers call both so.",
    "IH@vid[yamnet+silero, prompt]": (
        "Explained means asked for in the prompt, in English words; a visible source nobody mentions counts as "
        "inserted."
    ),
    "IH@dur[yamnet+silero, prompt]": "As above; music of less than about 1.5 s counts as none, and singing as speech.",
    "WER[whisper-tiny.en]": "English; the transcriber errs too, more in noise.",
    "DNSMOS": "Speech only; trained on calls, so music behind a voice counts as noise.",
    "FAD[log-mel]": (
        "Biased upwards by about 1/N: compare equal counts only. Where the reference is silent in part, sound that "
        "falls silent comes nearer to it again: below 5 bits, quantised struck sounds score better than at 5."
    ),
    "FAD-∞[log-mel]": "Needs some hundred clips; may come out negative.",
    "FAD[log-mel, stereo]": "Not comparable with any mono distance.",
    "KAD[log-mel]": "Unbiased, so it may be negative; depends on the reference's spread; silence as for FAD[log-mel].",
    "KAD[log-mel, stereo]": "Not comparable with any mono distance.",
    "FAD[yamnet]": "Biased upwards by about 1/N: compare equal counts only.",
    "KAD[yamnet]": "Unbiased, so it may be negative; depends on the reference's spread.",
    "KAD[yamnet, stereo]": "Not comparable with any mono distance.",
    "FID[efficientnet]": "Biased upwards by about 1/N: compare equal counts only.",
    "KID[efficientnet]": "Unbiased, so it may be negative; depends on the reference's spread.",
    "FVD[dis-flow]": "Biased upwards by about 1/N: compare equal counts only.",
    "FVD": "Biased upwards by about 1/N: compare equal counts only.",
    "FVD[videomae]": "Biased upwards by about 1/N: compare equal counts only. Not comparable with FVD.",
    "FAD": "Biased upwards by about 1/N: compare equal counts only.",
    "KAD[vggish]": "Unbiased, so it may be negative; depends on the reference's spread.",
    "FAD[vggish, stereo]": "Biased upwards by about 1/N. Not comparable with any mono distance.",
    "FAD[yamnet, stereo]": "Biased upwards by about 1/N. Not comparable with any mono distance.",
    "FD[places]": "Five plain numbers a clip: where it sounds, not what; mono clips count as the middle.",
    "FD-PANNs": "Biased upwards by about 1/N: compare equal counts only; 2048 features want thousands of clips.",
    "FD-PaSST": "Biased upwards by about 1/N: compare equal counts only. Silence after a short clip is heard too.",
    "KL-PANNs": "What is heard, not when; not comparable with PaSST's.",
    "KL-PaSST": "What is heard, not when; hears 10 s only.",
    "IS-PANNs": "At most the number of clips: few clips score low; published values average ten parts.",
    "IS-PaSST": "At most the number of clips: few clips score low; published values average ten parts.",
    "PEAVS[dis-flow]": (
        "Trained with PWC-Net's flow: with DIS, values are not comparable with published ones. Human correlation .54 "
        "a clip."
    ),
    "Spatial AV-Align[detr]": "±40 px hit often by chance where much is in the picture: read it beside its control.",
    "Spatial AV-Align[faces]": (
        "One face a picture, the surest; small or turned faces are missed, and count against it."
    ),
    "ImageBind TV": "Counts nouns; order and number of events hardly matter.",
    "ImageBind TA": "What is heard, not when.",
    "MS-CLAP score": "Hears 7 s; which CLAP it is can flip a ranking.",
    "object class[detr]": "COCO's 80 things only; VBench's GRiT knows more, and values are not comparable.",
    "multiple objects[detr]": "As object class[detr].",
    "color[detr, pixels]": "Colour of most of the box, ground behind the thing included; not comparable with VBench's.",
    "spatial relationship[detr]": "As object class[detr]; depth does not count.",
    "human action[videomae]": "Kinetics' 400 actions only; VBench's UMT also asks for a probability of .85.",
    "scene[clip]": "Chooses among 86 scenes: of a scene outside them it knows nothing.",
    "appearance style": "Words of style only; the same picture in two styles differs by little.",
    "temporal style[clip]": "Single pictures hardly show motion: it is VBench's dimension in name, ViCLIP's not.",
}
