"""The denoiser's training by two processes, each with half of every batch: same draws, same checkpoint as pretrain."""
import copy, os, sys, time, yaml, torch, torch.nn.functional as F, torch.distributed as dist
from pathlib import Path
from torch.nn.attention import SDPBackend, sdpa_kernel
from diffusers import DDPMScheduler
from versat2i.shapes.pretraining import pretrain, denoiser, scenes
from versat2i.shapes.pretraining.optimizers import MuonAdamW
from versat2i.shapes.world import grammar
from versat2i.seeds import stable_seed
from versat2i.models.diffusion.running import multiplies_in
torch.set_num_threads(1)
rank=int(sys.argv[1]); WORLD=2
os.environ.update(MASTER_ADDR='127.0.0.1',MASTER_PORT='29517'); dist.init_process_group('gloo',rank=rank,world_size=WORLD)
import numpy as np
c=yaml.safe_load(pretrain.CONFIG.read_text()); s=c['denoiser']; w=Path('.pretrain')
latents=torch.load(w/'latents.pt',weights_only=True)
with np.load(w/f"scenes-{c['seed']}-{c['scenes']['train']}.npz") as z: captions=z['captions'].tolist()
tok=pretrain.train_tokenizer(c,captions,w/'tokenizer')
torch.manual_seed(c['seed'])
te=denoiser.build_text_encoder(c['text_encoder'],tok); unet=denoiser.build_unet(s,c['text_encoder']['hidden'],latents.shape[1])
model=denoiser.Generator(te,unet).to(memory_format=torch.channels_last); avg=copy.deepcopy(model).requires_grad_(False)
opt=MuonAdamW(model,weight_decay=0.01)
ck=pretrain.Checkpoint(w/'denoiser.pt',model=model,average=avg,optimizer=opt); first=ck.load()
simple=[r for r,x in enumerate(captions) if len(grammar.parse(x).groups)==1]
D=denoiser.Scenes(latents,denoiser.tokenize(tok,captions),torch.tensor(simple),denoiser.tokenize(tok,[''])[0])
sch=DDPMScheduler.from_config(denoiser.build_scheduler().config)
params=list(model.parameters()); n=s['batch_size']; bf=multiplies_in('bfloat16','cpu'); ema=None; t0=time.time()
for step in range(first,s['steps']):
    g=torch.Generator().manual_seed(stable_seed(c['seed'],'denoiser',step))
    l,tk=D.batch(n,max(0.0,1-step/s['simple_steps']),s['caption_dropout'],g)
    noise=torch.randn(l.shape,generator=g); t=denoiser.draw_timesteps(n,1000,s['timestep_exponent'],g)
    mine=slice(rank,None,WORLD)
    with torch.autocast('cpu',torch.bfloat16,enabled=bf), sdpa_kernel(SDPBackend.MATH):
        v=denoiser.velocity_loss(model,l[mine],noise[mine],t[mine],tk[mine],sch)
    v.backward()
    grads=[p.grad if p.grad is not None else torch.zeros_like(p) for p in params]
    flat=torch.cat([x.reshape(-1) for x in grads]+[v.detach().reshape(1)])
    dist.all_reduce(flat); flat/=WORLD
    o=0
    for p,x in zip(params,grads):
        x.copy_(flat[o:o+x.numel()].view(x.shape)); o+=x.numel(); p.grad=x
    torch.nn.utils.clip_grad_norm_(params,1.0)
    opt.step(denoiser.learning_rate(step,s)); denoiser.update_average(avg,model,min(s['ema'],(step+1)/(step+10)))
    lv=flat[-1].item(); ema=lv if ema is None else .98*ema+.02*lv
    if rank==0:
        if (step+1)%50==0: print(step+1,'%.4f'%ema,'%.2f s/step'%((time.time()-t0)/(step+1-first)),flush=True)
        if (step+1)%c['checkpoint_every']==0 or step+1==s['steps']: ck.save(step+1)
