"""Export the current checkpoint, draw samples: peek.py OUT [n]"""
import sys,torch,yaml,time,numpy as np; sys.path.insert(0,'.pretrain'); torch.set_num_threads(1)
from pathlib import Path
from versat2i.shapes.pretraining import pretrain,denoiser,autoencoder
from transformers import CLIPTokenizer
import grid
out=sys.argv[1]; n=int(sys.argv[2]) if len(sys.argv)>2 else 64
c=yaml.safe_load(pretrain.CONFIG.read_text()); w=Path('.pretrain')
vae=autoencoder.build(c['autoencoder']); vae.load_state_dict(torch.load(w/'autoencoder.pt',weights_only=True)['model'])
tok=CLIPTokenizer.from_pretrained(w/'tokenizer')
ck=torch.load(w/'denoiser.pt',weights_only=True,map_location='cpu',mmap=True)
m=denoiser.Generator(denoiser.build_text_encoder(c['text_encoder'],tok),denoiser.build_unet(c['denoiser'],c['text_encoder']['hidden'],c['autoencoder']['latent_channels']))
m.load_state_dict(ck['average']); print('step',ck['step'])
pretrain.export(Path(out),vae,tok,m)
from bench.accuracy import sampled,answers,by_element
from versat2i.models import diffusion
from versat2i.settings.params import Model
model=diffusion.load(Model(path=out,dtype='float32',threads=1))
t=time.process_time()
ims,texts=sampled(model,c['sampling'],n,held_out=False)
print('cpu ms an image %.0f'%((time.process_time()-t)/n*1e3))
print(by_element(answers(ims,texts)).round(3).to_dict())
grid.save(ims[:64],out.rstrip('/')+'.png',cols=8)
print(texts[:16])
