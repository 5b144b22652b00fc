"""Adapt today's base to the new scenes: usage adapt.py STEPS OUT"""
import sys,torch,time,copy; sys.path.insert(0,'.'); torch.set_num_threads(1)
import numpy as np
from pathlib import Path
from diffusers import StableDiffusionPipeline, DDPMScheduler
from versat2i.shapes.pretraining import scenes, autoencoder, denoiser
steps,out=int(sys.argv[1]),sys.argv[2]
pipe=StableDiffusionPipeline.from_pretrained(sys.argv[3])
for m in (pipe.unet,pipe.vae): m.to(memory_format=torch.channels_last)
rows=[scenes.scene(1,i) for i in range(5000)]
caps=[c for c,_ in rows]; ims=np.stack([i for _,i in rows])
print('old autoencoder psnr %.2f'%autoencoder.psnr(pipe.vae,ims[:256]),flush=True)
import grid
with torch.no_grad(): d=pipe.vae.decode(autoencoder.encode(pipe.vae,ims[:20]).float()).sample
grid.save(np.concatenate([ims[:10],((d.clamp(-1,1)+1)*127.5).round().byte().permute(0,2,3,1).numpy()[:10]]),'oldvae.png')
lat=autoencoder.encode(pipe.vae,ims); tok=denoiser.tokenize(pipe.tokenizer,caps); empty=denoiser.tokenize(pipe.tokenizer,[''])[0]
S=denoiser.Scenes(lat,tok,torch.arange(len(lat)),empty)
model=denoiser.Generator(pipe.text_encoder,pipe.unet).train(); avg=copy.deepcopy(model).requires_grad_(False)
opt=torch.optim.AdamW(model.parameters(),5e-4,weight_decay=0.01)
sch=DDPMScheduler.from_config(denoiser.build_scheduler().config)
t0=time.time(); a=None
for step in range(steps):
    g=torch.Generator().manual_seed(step)
    l,tk=S.batch(32,0.0,.1,g); n=torch.randn(l.shape,generator=g); t=denoiser.draw_timesteps(32,1000,2,g)
    for gr in opt.param_groups: gr['lr']=5e-4*min(1,(step+1)/20)*min(1,2*(1-step/steps))
    v=denoiser.velocity_loss(model,l,n,t,tk,sch); opt.zero_grad(); v.backward(); torch.nn.utils.clip_grad_norm_(model.parameters(),1.0); opt.step()
    denoiser.update_average(avg,model,min(.98,(step+1)/(step+10)))
    a=v.item() if a is None else .95*a+.05*v.item()
    if step%25==0: print(step,'%.4f'%a,'%.0fs'%(time.time()-t0),flush=True)
pipe.unet=avg.unet.eval(); pipe.text_encoder=avg.text_encoder.eval()
pipe.save_pretrained(out)
