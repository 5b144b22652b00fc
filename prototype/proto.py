"""Experts by plain sft on a base: proto.py BASE NAME [n_prompts=60] [lr] [targets] [evalN]"""
import sys,torch,time,json; sys.path.insert(0,'.'); torch.set_num_threads(1)
import numpy as np, pandas as pd, random
from pathlib import Path
from versat2i.models import diffusion as backbone
from versat2i.generate import painter as generation, plan as plans
from versat2i.adapters import lora
from versat2i.train import losses, loop, examples as E
from versat2i.settings.params import Model, Sampling, TrainLora
from versat2i.shapes.world import prompts as P
from versat2i.shapes.world.perception import perceive
from versat2i.shapes.world.answering import answer_scene
from versat2i.rewards.aesthetic.classical import _beauty
from versat2i.rewards.low_level.classical import _cleanliness
from versat2i.rewards.geometry.regularity import _regularity
from versat2i.prompts.records import prompt_id
from versat2i.seeds import stable_seed
import grid
base,name=sys.argv[1],sys.argv[2]
N=int(sys.argv[3]) if len(sys.argv)>3 else 60
LR=float(sys.argv[4]) if len(sys.argv)>4 else 2e-3
TARGETS=sys.argv[5] if len(sys.argv)>5 else 'attention'
EVALN=int(sys.argv[6]) if len(sys.argv)>6 else 100
VARS=sys.argv[7].split(',') if len(sys.argv)>7 else ['aesthetic','tifa','geometry','low_level','random']
M=['aesthetic','tifa','geometry','low_level']
nan=lambda v: np.nan if isinstance(v,str) else v
def tifa(im,qs):
    s=perceive(im); return np.mean([answer_scene(s,q['question'],q['choices'])==q['answer'] for q in qs])
def score(ims,qs): return np.array([[nan(_beauty(i)),tifa(i,q),nan(_regularity(i)),nan(_cleanliness(i))] for i,q in zip(ims,qs)])
tr=list(P.sample(N,1,0.0,'train')); dv=list(P.sample(EVALN,2,0.5,'dev'))
fresh=lambda: backbone.load(Model(path=base,dtype='float32',threads=1))
model=fresh()
def draw(model,prompts,k,seed=0):
    texts={prompt_id(p.text):p.text for p in prompts}; q={prompt_id(p.text):p.questions for p in prompts}
    painter=generation.Painter(model,Sampling(steps=8,guidance_scale=1.0,batch_size=64),seed=seed)
    cs=[c for s in plans.plan(texts,k,64) for c in painter.candidates(s)]
    order={p:i for i,p in enumerate(texts)}; cs.sort(key=lambda c:(order[c.prompt_id],c.k))
    ims=np.stack([c.image for c in cs]); lat=np.stack([c.latents for c in cs])
    return ims,lat,score(ims,[q[c.prompt_id] for c in cs])
t0=time.process_time()
import os
cache=f'.pretrain/cache_{name}_{N}_{EVALN}.npz'
if os.path.exists(cache):
    z=np.load(cache); ims,lat,sc,bi,bs=(z[k] for k in ('ims','lat','sc','bi','bs'))
else:
    ims,lat,sc=draw(model,tr,8); bi,bl,bs=draw(model,dv,8,seed=7); np.savez(cache,ims=ims,lat=lat,sc=sc,bi=bi,bs=bs)
print('pool drawn+scored cpu s %.0f'%(time.process_time()-t0),flush=True)
grid.save(ims[:160].reshape(20,8,64,64,3).reshape(-1,64,64,3)[:120],f'pool_{name}.png',cols=8)
S=sc.reshape(N,8,4)
print('pool mean',np.nanmean(S,(0,1)).round(3),'best',np.nanmean(np.nanmax(S,1),0).round(3),'sd within',np.nanmean(np.nanstd(S,1),0).round(3))
print('corr of scores within prompt\n',np.round(pd.DataFrame((S-np.nanmean(S,1,keepdims=True)).reshape(-1,4),columns=M).corr().to_numpy(),2))
B8=bs.reshape(EVALN,8,4); print('dev base mean(2)',np.nanmean(B8[:,:2],(0,1)).round(3),'best-of-8 gain',(np.nanmean(np.nanmax(B8,1)-np.nanmean(B8,1),0)).round(3))
base_dev=np.nanmean(B8[:,:2],1)
rng=np.random.default_rng(0)
def ci(d): 
    d=d[~np.isnan(d)]; return d.mean(),1.96*d.std()/np.sqrt(len(d))
out={}
for v in VARS:
    m=fresh()
    if v=='random': picks=rng.integers(8,size=N)
    else: picks=np.nanargmax(np.where(np.isnan(S[:,:,M.index(v)]),-1,S[:,:,M.index(v)]),1)
    L=torch.from_numpy(lat.reshape(N,8,*lat.shape[1:])[np.arange(N),picks]).float()
    rule=TrainLora(objective='sft',rank=8,alpha=8.0,targets=TARGETS,steps=60,batch_size=32,learning_rate=LR,lr_scheduler='linear',caption_dropout=0.0)
    ps=lora.attach(m.denoiser,v,8,8.0,TARGETS,stable_seed(0,v))
    ex=E.Examples(L,m.embed([p.text for p in tr]),m.embed(['']),torch.ones(N))
    opt=loop.make_optimizer(ps,LR); ls=[]; t=time.process_time()
    for step,b,g in E.batches(ex,rule,stable_seed(0,v),0):
        for gr in opt.param_groups: gr['lr']=loop.learning_rate(rule,step)
        val=losses.diffusion_loss(m,b.latents,b.prompts,g,None); loop.descend(val,ps,opt); ls.append(val.item())
    tc=time.process_time()-t
    ei,_,es=draw(m,dv,2,seed=7)
    d=np.nanmean(es.reshape(EVALN,2,4),1)-base_dev
    out[v]={k:ci(d[:,j]) for j,k in enumerate(M)}
    print(f'{v:10s} loss {np.mean(ls[:6]):.4f}->{np.mean(ls[-6:]):.4f} cpu {tc:.0f}s ',' '.join(f'{k} {a:+.3f}+-{b:.3f}' for k,(a,b) in out[v].items()),flush=True)
    grid.save(np.concatenate([bi.reshape(EVALN,8,64,64,3)[:20,0],ei.reshape(EVALN,2,64,64,3)[:20,0]]),f'expert_{name}_{v}.png',cols=20)
json.dump(out,open(f'proto_{name}.json','w'))
